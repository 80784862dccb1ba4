// CBOR as docs/dmlp.md wants it (deterministic, no tags, no indefinite lengths), because a body must be the same octets from every maker.

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function head(major, value) {
  const number = BigInt(value);
  if (number < 24n) return Buffer.from([(major << 5) | Number(number)]);
  for (const [info, size] of [[24, 1], [25, 2], [26, 4], [27, 8]]) {
    if (number >= 1n << BigInt(8 * size)) continue;
    const out = Buffer.alloc(1 + size);
    out[0] = (major << 5) | info;
    for (let i = 0; i < size; i++) out[size - i] = Number((number >> BigInt(8 * i)) & 255n);
    return out;
  }
  throw new RangeError(`${value} needs more than 64 bits`);
}

function halfBits(value) {
  // The half float that is exactly `value`, or null. Every half is a multiple of 2^-24 below 65520.
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size === Infinity) return sign | 0x7c00;
  if (size > 65504) return null;
  if (size < 2 ** -14) {
    const steps = size * 2 ** 24;
    return Number.isInteger(steps) ? sign | steps : null;
  }
  const exponent = Math.floor(Math.log2(size));
  const mantissa = (size / 2 ** exponent - 1) * 1024;
  return Number.isInteger(mantissa) ? sign | ((exponent + 15) << 10) | mantissa : null;
}

function encodeFloat(value) {
  const half = halfBits(value);
  if (half !== null) return Buffer.from([0xf9, half >> 8, half & 255]);
  const out = Buffer.alloc(9);
  if (Math.fround(value) === value) {
    out[0] = 0xfa;
    out.writeFloatBE(value, 1);
    return out.subarray(0, 5);
  }
  out[0] = 0xfb;
  out.writeDoubleBE(value, 1);
  return out;
}

export function encode(value) {
  if (value === false) return Buffer.from([0xf4]);
  if (value === true) return Buffer.from([0xf5]);
  if (typeof value === "bigint" || Number.isInteger(value)) return value < 0 ? head(1, -1n - BigInt(value)) : head(0, value);
  if (typeof value === "number") return encodeFloat(value);
  if (typeof value === "string") {
    const text = Buffer.from(value, "utf8");
    return Buffer.concat([head(3, text.length), text]);
  }
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(encode)]);
  if (value instanceof Map) {
    const pairs = [...value].map(([key, one]) => [encode(key), encode(one)]).sort((a, b) => Buffer.compare(a[0], b[0]));
    return Buffer.concat([head(5, pairs.length), ...pairs.flat()]);
  }
  throw new TypeError(`no CBOR for ${value}`);
}

function decodeHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  const size = exponent === 0 ? mantissa * 2 ** -24
    : exponent === 31 ? (mantissa ? NaN : Infinity) : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

class Reader {
  constructor(bytes) {
    this.bytes = Buffer.from(bytes);
    this.at = 0;
  }

  take(size) {
    if (this.at + size > this.bytes.length) throw new Error("CBOR ends too early");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  argument(info) {
    if (info < 24) return BigInt(info);
    if (info > 27) throw new Error("CBOR: indefinite or reserved length");
    const size = 1 << (info - 24);
    const value = BigInt(`0x${this.take(size).toString("hex")}`);
    if (value < (size === 1 ? 24n : 1n << BigInt(4 * size))) throw new Error("CBOR: number longer than needed");
    return value;
  }

  float(info) {
    if (info === 25) return decodeHalf(this.take(2).readUInt16BE());
    return info === 26 ? this.take(4).readFloatBE() : this.take(8).readDoubleBE();
  }

  length(info) {
    const size = this.argument(info);
    if (size > this.bytes.length - this.at) throw new Error("CBOR: length beyond the body");
    return Number(size);
  }

  item(depth = 0) {
    if (depth > 8) throw new Error("CBOR: nested too deep");
    const first = this.take(1)[0];
    const [major, info] = [first >> 5, first & 31];
    if (major === 0 || major === 1) {
      const size = this.argument(info);
      const value = major === 0 ? size : -1n - size;
      return value > SAFE || value < -SAFE ? value : Number(value);
    }
    if (major === 2) return Buffer.from(this.take(this.length(info)));
    if (major === 3) return new TextDecoder("utf-8", { fatal: true }).decode(this.take(this.length(info)));
    if (major === 4) return Array.from({ length: this.length(info) }, () => this.item(depth + 1));
    if (major === 5) return this.map(this.length(info), depth);
    if (major === 7 && (info === 20 || info === 21)) return info === 21;
    if (major === 7 && info >= 25 && info <= 27) return this.float(info);
    throw new Error(`CBOR: item ${first.toString(16)} is not used here`);
  }

  map(size, depth) {
    const found = new Map();
    let before = null;
    for (let i = 0; i < size; i++) {
      const from = this.at;
      const key = this.item(depth + 1);
      const raw = this.bytes.subarray(from, this.at);
      if (before && Buffer.compare(before, raw) >= 0) throw new Error("CBOR: keys double or out of order");
      before = raw;
      found.set(key, this.item(depth + 1));
    }
    return found;
  }
}

export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.item();
  if (reader.at !== reader.bytes.length) throw new Error("CBOR: bytes behind the item");
  return value;
}
