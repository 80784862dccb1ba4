// Frames of docs/dmlp.md, chapter 1: found among noise, sealed and opened, each counter used once.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { crc32 as zlibCrc } from "node:zlib";

const HEADER = 12;
const SEC = 0x80;
const TAG = 8;
export const TO_SERVER = 0;
export const TO_CONCENTRATOR = 1;
export const SEAL_BYTES = 13;

export function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c >>> 0;
});

export function crc32(bytes) {
  if (zlibCrc) return zlibCrc(bytes);            // Node 22; the table is for those before it
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function header(length, linkId, flags) {
  const out = Buffer.alloc(HEADER);
  out.write("DM", 0, "latin1");
  out[2] = 0x10;
  out[3] = flags;
  out.writeUInt16BE(length, 4);
  out.writeUInt32BE(linkId, 6);
  out.writeUInt16BE(crc16(out.subarray(0, 10)), 10);
  return out;
}

function closed(head, body) {
  const frame = Buffer.concat([head, body, Buffer.alloc(4)]);
  frame.writeUInt32BE(crc32(frame.subarray(0, -4)), frame.length - 4);
  return frame;
}

export const plain = (linkId, body) => closed(header(body.length, linkId, 0), body);

function nonce(linkId, direction, sid, counter) {
  const out = Buffer.alloc(13);
  out.writeUInt32BE(linkId, 0);
  out[4] = direction;
  sid.copy(out, 5);
  out.writeUInt32BE(counter, 9);
  return out;
}

export class Sealer {
  constructor(key, linkId, direction, sid) {
    Object.assign(this, { key, linkId, direction, sid, next: 0 });
  }

  seal(body, counter = this.next) {
    if (counter > 0xffffffff) throw new RangeError("counter used up: this session must end");
    this.next = counter + 1;
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(counter, 1);
    const head = header(body.length + SEAL_BYTES, this.linkId, SEC);
    const cipher = createCipheriv("aes-128-ccm", this.key, nonce(this.linkId, this.direction, this.sid, counter), { authTagLength: TAG });
    cipher.setAAD(Buffer.concat([head, prefix]), { plaintextLength: body.length });
    const text = Buffer.concat([cipher.update(body), cipher.final()]);
    return closed(head, Buffer.concat([prefix, text, cipher.getAuthTag()]));
  }
}

export class Opener {
  constructor(key, linkId, direction, sid) {
    Object.assign(this, { key, linkId, direction, sid, last: -1 });
  }

  // The body, or the word for why the frame is dropped: "plain", "key", "replay", "forged".
  open(frame) {
    if (!frame.sealed) return { dropped: "plain" };
    const { body } = frame;
    if (body.length < SEAL_BYTES || body[0] !== 0 || frame.linkId !== this.linkId) return { dropped: "key" };
    const counter = body.readUInt32BE(1);
    if (counter <= this.last) return { dropped: "replay" };
    const text = body.subarray(5, -TAG);
    const decipher = createDecipheriv("aes-128-ccm", this.key, nonce(this.linkId, this.direction, this.sid, counter), { authTagLength: TAG });
    decipher.setAuthTag(body.subarray(-TAG));
    decipher.setAAD(Buffer.concat([frame.head, body.subarray(0, 5)]), { plaintextLength: text.length });
    try {
      const opened = Buffer.concat([decipher.update(text), decipher.final()]);
      this.last = counter;                        // only a frame that opened may move the window
      return { body: opened, counter };
    } catch {
      return { dropped: "forged" };
    }
  }
}

export class Finder {
  constructor(maxFrame = 1024) {
    this.maxFrame = maxFrame;
    this.buffer = Buffer.alloc(0);
    this.dropped = { noise: 0, header: 0, unusable: 0, crc: 0 };
  }

  feed(bytes) {
    this.buffer = Buffer.concat([this.buffer, bytes]);
    const found = [];
    for (let one = this.next(); one !== undefined; one = this.next()) if (one) found.push(one);
    return found;
  }

  skip(count, why) {
    this.dropped[why] += count;
    this.buffer = this.buffer.subarray(count);
    return null;
  }

  // A frame; null: dropped something, look again; undefined: more bytes are needed.
  next() {
    const at = this.buffer.indexOf("DM", 0, "latin1");
    if (at < 0) {
      const keep = this.buffer.at(-1) === 0x44 ? 1 : 0;
      this.skip(this.buffer.length - keep, "noise");
      return undefined;
    }
    if (at > 0) return this.skip(at, "noise");
    if (this.buffer.length < HEADER) return undefined;
    if (this.buffer.readUInt16BE(10) !== crc16(this.buffer.subarray(0, 10))) return this.skip(1, "header");
    const [version, flags, length] = [this.buffer[2], this.buffer[3], this.buffer.readUInt16BE(4)];
    if (version >> 4 !== 1 || flags & 0x7f || length > this.maxFrame) return this.skip(2, "unusable");
    const whole = HEADER + length + 4;
    if (this.buffer.length < whole) return undefined;
    const frame = this.buffer.subarray(0, whole);
    if (frame.readUInt32BE(whole - 4) !== crc32(frame.subarray(0, -4))) return this.skip(2, "crc");
    this.buffer = this.buffer.subarray(whole);
    return {
      head: Buffer.from(frame.subarray(0, HEADER)), body: Buffer.from(frame.subarray(HEADER, -4)),
      sealed: Boolean(flags & SEC), linkId: frame.readUInt32BE(6),
    };
  }
}
