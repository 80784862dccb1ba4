// Messages as objects with the page's own names, and their octets: [type, corr, map].
import { readFileSync } from "node:fs";
import { decode, encode } from "./cbor.mjs";
import { readPage } from "./cddl.mjs";

export const PAGE = readFileSync(new URL("../../../../docs/dmlp.md", import.meta.url), "utf8");
const messages = readPage(PAGE);

// Names and codes as the page's tables and lists have them.
export const TYPE = Object.fromEntries([...PAGE.matchAll(/^\| (0x[0-9A-F]{2}) \| ([A-Z_]+) \|/gm)].map(([, number, name]) => [name, Number(number)]));
export const NAME = Object.fromEntries(Object.entries(TYPE).map(([name, number]) => [number, name]));

function codes(title) {
  const text = new RegExp(`\\*\\*${title}\\*\\*:([^]*?)\\n\\n`).exec(PAGE)[1].replace(/\([^)]*\)/g, "");
  return Object.fromEntries([...text.matchAll(/(\d+) ([A-Z_]+)/g)].map(([, number, name]) => [name, Number(number)]));
}

export const RESULT = codes("Result codes");
export const CLOSE = codes("Reasons of CLOSE");
export const ACTION = codes("Actions");
export const HOLDER = codes("Holders");
export const TARGET = codes("Key targets");

export const ANSWERS = new Set(["PONG", "ERROR", "RESULT", "INFO", "PARAM", "PROFILE", "MODULE_LIST", "TOPOLOGY", "FW_STATUS", "KEY_CONFIRM"]);

export const bodyOf = (name, corr, fields, omitted = []) => encode([TYPE[name], corr, messages.get(TYPE[name]).map.write(fields, omitted)]);

// What is behind a body: {name, corr, fields}; or {corr, code, type, text} where it cannot be used. Throws where it is no message at all.
export function read(body) {
  const item = decode(body);
  if (!Array.isArray(item) || item.length !== 3 || !(item[2] instanceof Map)) throw new Error("no [type, corr, map]");
  const [type, corr, map] = item;
  if (!Number.isInteger(type) || !Number.isInteger(corr) || corr < 0 || corr > 0xffffffff) throw new Error("type or corr is no number");
  if (!messages.has(type)) return { corr, code: RESULT.UNKNOWN, type, text: `type ${type} is not known` };
  try {
    return { name: NAME[type], type, corr, map, fields: messages.get(type).map.read(map) };
  } catch (error) {
    return { corr, code: RESULT.BAD_ARGUMENT, type, name: NAME[type], text: `${NAME[type]}: ${error.message}`.slice(0, 200) };
  }
}

export const without = (map, key) => new Map([...map].filter(([one]) => one !== key));

export function bits(bitmap) {
  const found = [];
  for (let index = 1; index <= 8 * bitmap.length; index++) if (bitmap[(index - 1) >> 3] & (1 << ((index - 1) & 7))) found.push(index);
  return found;
}

export function bitmap(indices) {
  const out = Buffer.alloc(30);
  for (const index of indices) out[(index - 1) >> 3] |= 1 << ((index - 1) & 7);
  return out;
}
