// Reads the CDDL of docs/dmlp.md itself, so that what this end sends and believes is the page, not somebody's memory of it.
//
// Only what the page uses is understood: ranges, alternatives, sizes, arrays with a count, maps with integer keys. The name of a field is the
// first word of its comment, its default the word after "default" there.

const TOKEN = /0x[0-9a-fA-F]+|-?\d+|\.\.|\.size|[A-Za-z][\w-]*|[=/[\]{}()*?:,]/g;
const NUMBER = /^(0x|-?\d)/;

function tokens(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const [code, ...rest] = line.split(";");
    for (const [word] of code.matchAll(TOKEN)) found.push({ word, comment: "" });
    if (found.length && rest.length) found.at(-1).comment = rest.join(";").trim();
  }
  return found;
}

const bad = (what) => { throw new TypeError(what); };
const amount = (value) => typeof value === "number" || typeof value === "bigint";
const whole = (value) => typeof value === "bigint" || Number.isInteger(value);

const BASE = {
  bool: { zero: false, read: (v) => (typeof v === "boolean" ? v : bad("no bool")) },
  float: { zero: 0, read: (v) => (typeof v === "number" ? v : bad("no float")) },
  int: { zero: 0, read: (v) => (whole(v) ? v : bad("no whole number")) },
  tstr: { zero: "", size: (v) => Buffer.byteLength(v), read: (v) => (typeof v === "string" ? v : bad("no text")) },
  bstr: { zero: Buffer.alloc(0), size: (v) => v.length, read: (v) => (v instanceof Uint8Array ? v : bad("no bytes")) },
};
for (const type of Object.values(BASE)) type.write = type.read;

const range = (low, high) => {
  const read = (v) => (whole(v) && v >= low && v <= high ? v : bad(`${String(v)} is not within ${low}..${high}`));
  return { zero: 0, read, write: read };
};

function sized(type, low, high) {
  const check = (v) => {
    const size = type.size(type.read(v));
    return size >= low && size <= high ? v : bad(`${size} bytes, not ${low}..${high}`);
  };
  return { zero: type.zero, read: check, write: check };
}

function either(types) {
  const attempt = (how) => (v) => {
    const errors = [];
    for (const type of types) try { return type[how](v); } catch (error) { errors.push(error.message); }
    return bad(errors.join(" and "));
  };
  return { zero: types[0].zero, read: attempt("read"), write: attempt("write") };
}

const many = (low, high, type) => {
  const all = (how) => (v) => {
    if (!Array.isArray(v) || v.length < low || v.length > high) bad(`no list of ${low} to ${high}`);
    return v.map((one) => type[how](one));
  };
  return { zero: [], read: all("read"), write: all("write") };
};

function defaultOf(field) {
  const said = /default (-?\d+|true|false)/.exec(field.comment)?.[1];
  return said === undefined ? field.type.zero : JSON.parse(said);
}

const same = (a, b) => (Array.isArray(a) || a instanceof Uint8Array ? a.length === 0 && b.length === 0 : amount(a) && amount(b) ? a == b : a === b);

function struct(fields) {
  const within = (field, act) => {
    try { return act(); } catch (error) { return bad(`${field.name}: ${error.message}`); }
  };
  return {
    read(map) {
      if (!(map instanceof Map)) bad("no map");
      for (const key of map.keys()) if (!whole(key)) bad("a key that is no whole number");
      return Object.fromEntries(fields.map((field) => [field.name, within(field, () => {
        if (map.has(field.key)) return field.type.read(map.get(field.key));
        return field.optional ? defaultOf(field) : bad("missing");
      })]));
    },
    write(values, omitted = []) {
      const unknown = Object.keys(values).filter((name) => !fields.some((field) => field.name === name));
      if (unknown.length) bad(`no such field: ${unknown}`);
      const kept = fields.filter((field) => values[field.name] !== undefined && !(field.optional && same(values[field.name], defaultOf(field))));
      for (const field of fields) if (!field.optional && values[field.name] === undefined && !omitted.includes(field.name)) bad(`${field.name}: missing`);
      return new Map(kept.map((field) => [field.key, within(field, () => field.type.write(values[field.name]))]));
    },
  };
}

class Parser {
  constructor(text) {
    this.all = tokens(text);
    this.at = 0;
    this.rules = new Map();
  }

  peek(ahead = 0) { return this.all[this.at + ahead]?.word; }
  next(expected) {
    const token = this.all[this.at++];
    if (!token || (expected && token.word !== expected)) throw new Error(`CDDL: ${token?.word} where ${expected} was expected`);
    return token.word;
  }

  accept(word) {
    if (this.peek() !== word) return false;
    this.at += 1;
    return true;
  }

  parse() {
    while (this.at < this.all.length) {
      const name = this.next();
      this.next("=");
      if (this.rules.has(name)) throw new Error(`CDDL: ${name} stands twice`);
      this.rules.set(name, this.type());
    }
    return this.rules;
  }

  type() {
    const found = [this.single()];
    while (this.accept("/")) found.push(this.single());
    return found.length > 1 ? either(found) : found[0];
  }

  single() {
    if (this.peek() === "[") return this.array();
    if (this.peek() === "{") return this.map();
    const word = this.next();
    if (NUMBER.test(word)) {
      const high = this.accept("..") ? this.next() : word;
      return { ...range(BigInt(word), BigInt(high)), literal: Number(word) };
    }
    if (this.accept(".size")) return sized(BASE[word], ...this.size());
    if (BASE[word]) return BASE[word];
    const rules = this.rules;                     // a rule may be used before it stands there
    const rule = () => rules.get(word) ?? bad(`the page has no rule ${word}`);
    return { get zero() { return rule().zero; }, read: (v) => rule().read(v), write: (v) => rule().write(v) };
  }

  size() {
    if (!this.accept("(")) return Array(2).fill(Number(this.next()));
    const low = Number(this.next());
    const high = this.accept("..") ? Number(this.next()) : low;
    this.next(")");
    return [low, high];
  }

  array() {
    this.next("[");
    if (this.peek(1) === "*") {
      const low = Number(this.next());
      this.next("*");
      const high = Number(this.next());
      const type = this.type();
      this.next("]");
      return many(low, high, type);
    }
    const items = [this.type()];
    while (this.accept(",")) items.push(this.type());
    this.next("]");
    return { items };
  }

  map() {
    this.next("{");
    const fields = [];
    while (!this.accept("}")) {
      const optional = this.accept("?");
      const key = Number(this.next());
      this.next(":");
      const type = this.type();
      this.next(",");
      const comment = this.all[this.at - 1].comment;
      fields.push({ key, optional, type, comment, name: /^\w+/.exec(comment)?.[0] ?? `field${key}` });
    }
    return struct(fields);
  }
}

// type number -> {name, map} of every message in the CDDL of a page.
export function readPage(markdown) {
  const rules = new Parser([...markdown.matchAll(/```cddl\n([\s\S]*?)```/g)].map((one) => one[1]).join("\n")).parse();
  const messages = new Map();
  for (const [name, rule] of rules) if (rule.items) messages.set(rule.items[0].literal, { name, map: rule.items[2] });
  return messages;
}
