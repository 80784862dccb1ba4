// Every key and MAC of docs/dmlp.md ("Keys"), because a frame that cannot be proven must not be believed.
import { createCipheriv, createDecipheriv, createHash, timingSafeEqual } from "node:crypto";

const ZERO = Buffer.alloc(16);

function aes(key, block) {
  const cipher = createCipheriv("aes-128-ecb", key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(block), cipher.final()]);
}

function double(block) {
  const out = Buffer.alloc(16);
  for (let i = 0; i < 16; i++) out[i] = ((block[i] << 1) | (i < 15 ? block[i + 1] >> 7 : 0)) & 255;
  if (block[0] & 0x80) out[15] ^= 0x87;
  return out;
}

const xor = (a, b) => Buffer.from(a.map((byte, i) => byte ^ b[i]));

export function cmac(key, message) {
  const k1 = double(aes(key, ZERO));
  const blocks = Math.max(1, Math.ceil(message.length / 16));
  const last = Buffer.from(message.subarray(16 * (blocks - 1)));
  const padded = last.length === 16 ? xor(last, k1) : xor(Buffer.concat([last, Buffer.from([0x80]), ZERO]).subarray(0, 16), double(k1));
  let state = ZERO;
  for (let i = 0; i < blocks - 1; i++) state = aes(key, xor(state, message.subarray(16 * i, 16 * i + 16)));
  return aes(key, xor(state, padded));
}

export function derive(key, label, context = Buffer.alloc(0)) {
  return cmac(key, Buffer.concat([Buffer.from([1]), Buffer.from(label), Buffer.from([0]), context, Buffer.from([0, 0x80])]));
}

export function sessionKeys(linkKey, nonceC, nonceS) {
  const context = Buffer.concat([nonceC, nonceS]);
  return {
    toServer: derive(linkKey, "DMLP1 c2s", context),
    toConcentrator: derive(linkKey, "DMLP1 s2c", context),
    sid: derive(linkKey, "DMLP1 sid", context).subarray(0, 4),
  };
}

export function proof(linkKey, role, bodies) {
  const hash = createHash("sha256").update(Buffer.concat(bodies)).digest();
  return cmac(derive(linkKey, "DMLP1 auth"), Buffer.concat([Buffer.from(`DMLP1${role}`), hash]));
}

export const equal = (a, b) => a.length === b.length && timingSafeEqual(a, b);
export const confirmation = (key) => cmac(key, Buffer.from("DMLP1 confirm")).subarray(0, 8);
export const commandMac = (key, bytes) => cmac(key, bytes).subarray(0, 8);

const WRAP_IV = Buffer.from("a6a6a6a6a6a6a6a6", "hex");

export function unwrap(linkKey, wrapped) {
  // RFC 3394; null where it does not open under this link key.
  try {
    const decipher = createDecipheriv("id-aes128-wrap", derive(linkKey, "DMLP1 kek"), WRAP_IV);
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    return null;
  }
}

export function wrap(linkKey, key) {
  const cipher = createCipheriv("id-aes128-wrap", derive(linkKey, "DMLP1 kek"), WRAP_IV);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}
