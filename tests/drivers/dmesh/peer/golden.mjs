// Holds this end's codec against every golden frame, both ways, and sees each refused when a bit of it is wrong.
import { readFileSync } from "node:fs";
import { createHash, createPublicKey, verify } from "node:crypto";
import { inflateSync } from "node:zlib";
import { decode, encode } from "./cbor.mjs";
import { commandMac, confirmation, derive, equal, proof, sessionKeys, unwrap, wrap } from "./keys.mjs";
import { Finder, Opener, Sealer, TO_CONCENTRATOR, TO_SERVER, plain } from "./frame.mjs";
import { NAME, TYPE, bodyOf, read, without } from "./message.mjs";

const folder = new URL("../../../golden/dmlp/", import.meta.url);
const hex = (text) => Buffer.from(text, "hex");

// Numbers above 2^53 (EUIs) would lose digits in JSON.parse: they are made text first.
const exact = (text) => JSON.parse(text.replace(/(: |\[|, )(\d{16,})(?=[,\s}\]])/g, '$1"big:$2"'), (_, value) => {
  if (typeof value !== "string") return value;
  if (value.startsWith("big:")) return BigInt(value.slice(4));
  return value.startsWith("h'") ? hex(value.slice(2, -1)) : value;
});

const cbor = (value) => (Array.isArray(value) ? value.map(cbor)
  : value && typeof value === "object" && !(value instanceof Uint8Array)
    ? new Map(Object.entries(value).map(([key, one]) => [Number(key), cbor(one)])) : value);

let failed = 0;
let checks = 0;
function check(name, right, what) {
  checks += 1;
  if (right) return;
  failed += 1;
  console.log(`FAILED ${name}: ${what}`);
}

function checkCase(one, file) {
  const linkId = parseInt(file.link_id, 16);
  const keys = sessionKeys(hex(file.link_key), hex(file.nonce_c), hex(file.nonce_s));
  const up = one.way.endsWith("to server");
  const ends = [up ? keys.toServer : keys.toConcentrator, linkId, up ? TO_SERVER : TO_CONCENTRATOR, keys.sid];
  const sealed = !one.way.startsWith("plain");
  const [body, frame] = [hex(one.body), hex(one.frame)];
  const open = (found) => (sealed ? new Opener(...ends).open(found) : found).body;

  const found = new Finder().feed(frame);
  check(one.name, found.length === 1 && found[0].linkId === linkId && found[0].sealed === sealed, "the receiver does not find one frame");
  check(one.name, found.length === 1 && open(found[0])?.equals(body), "the body is another");
  check(one.name, encode([one.type, one.corr, cbor(one.map)]).equals(body), "the map is encoded to other octets");
  const made = sealed ? new Sealer(...ends).seal(body, one.counter) : plain(linkId, body);
  check(one.name, made.equals(frame), "the frame is made of other octets");

  const message = read(body);
  check(one.name, message.fields && message.name === one.name && message.corr === one.corr, `refused: ${message.text}`);
  if (one.ignored) check(one.name, !bodyOf(one.name, one.corr, message.fields).equals(body), "an unknown key was kept");
  else check(one.name, message.fields && bodyOf(one.name, one.corr, message.fields).equals(body), "what was read is written otherwise");

  if (sealed) {
    const window = new Opener(...ends);
    window.open(found[0]);
    check(one.name, window.open(found[0]).dropped === "replay", "the same frame opened twice");
    check(one.name, new Opener(ends[0], linkId, 1 - ends[2], keys.sid).open(found[0]).dropped, "opened in the other direction");
  }
  for (let bit = 0; bit < 8 * frame.length; bit++) {
    const wrong = Buffer.from(frame);
    wrong[bit >> 3] ^= 1 << (bit & 7);
    check(one.name, new Finder().feed(wrong).every((got) => !got.head.equals(frame.subarray(0, 12)) && got.body.length < body.length), `bit ${bit} wrong is not noticed`);
  }
  const noisy = Buffer.concat([hex("00444d10ff444d"), frame, hex("44")]);
  const finder = new Finder();
  const pieces = [...noisy].flatMap((byte) => finder.feed(Buffer.from([byte])));
  check(one.name, pieces.length === 1 && open(pieces[0])?.equals(body), "not found byte by byte among noise");
}

function checkProofs(file) {
  const message = Object.fromEntries(file.messages.map((one) => [one.name, { ...one, bytes: hex(one.body), map: cbor(one.map) }]));
  const key = hex(file.link_key);
  const short = ({ type, corr, map }, mac) => encode([type, corr, without(map, mac)]);
  const { HELLO: hello, CHALLENGE: challenge, AUTH: auth, FW_OFFER: offer } = message;
  check("CHALLENGE", equal(proof(key, "S", [hello.bytes, short(challenge, 5)]), challenge.map.get(5)), "MAC_S");
  check("AUTH", equal(proof(key, "C", [hello.bytes, challenge.bytes, short(auth, 0)]), auth.map.get(0)), "MAC_C");
  const shed = cbor(file.variants.find((one) => one.name === "GROUP_COMMAND").map);
  for (const [name, under, map] of [
    ["GROUP_COMMAND", file.group_key, message.GROUP_COMMAND.map], ["GROUP_COMMAND", file.group_key, shed],
    ["COMMAND", file.module_key, message.COMMAND.map],
  ]) {
    check(name, equal(commandMac(hex(under), encode(without(map, 10))), map.get(10)), "mac");
  }
  const euis = Buffer.from("d100000000000002d100000000000001", "hex");
  check("GROUP_SET", createHash("sha256").update(euis).digest().equals(message.GROUP_SET.map.get(3)), "digest");
  const fresh = hex(file.new_key);
  check("KEY_PUT", unwrap(key, message.KEY_PUT.map.get(3))?.equals(fresh), "does not unwrap");
  check("KEY_PUT", wrap(key, fresh).equals(message.KEY_PUT.map.get(3)), "wraps otherwise");
  check("KEY_PUT", unwrap(fresh, message.KEY_PUT.map.get(3)) === null, "unwraps under another key");
  check("KEY_CONFIRM", equal(confirmation(fresh), message.KEY_CONFIRM.map.get(3)), "check");
  const maker = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: hex(file.maker_public_key).toString("base64url") }, format: "jwk" });
  const signed = Buffer.concat([Buffer.from("DMLP1 firmware"), offer.map.get(0)]);
  check("FW_OFFER", verify(null, signed, maker, offer.map.get(1)), "signature");
}

function checkPrinted(file) {
  const [key, linkId] = [hex(file.link_key), parseInt(file.link_id, 16)];
  const keys = sessionKeys(key, hex(file.nonce_c), hex(file.nonce_s));
  check("keys", derive(key, "DMLP1 auth").equals(hex(file.auth_key)), "K_auth");
  check("keys", keys.toServer.equals(hex(file.to_server_key)) && keys.toConcentrator.equals(hex(file.to_concentrator_key)), "frame keys");
  check("keys", keys.sid.equals(hex(file.sid)), "SID");
  const ping = plain(linkId, bodyOf("PING", file.ping.corr, { time: file.ping.time }));
  check("ping", ping.equals(hex(file.ping.frame)), "other octets");

  const found = new Finder().feed(hex(file.profile.frame))[0];
  const opened = new Opener(keys.toServer, linkId, TO_SERVER, keys.sid).open(found);
  check("profile", opened.counter === file.profile.counter, "does not open");
  const block = read(opened.body).fields.block;
  const deltas = inflateSync(block.deltas);
  const values = file.profile.deltas.flat().map((_, i) => (deltas.readUInt16LE(2 * i) === 0xffff ? null : deltas.readUInt16LE(2 * i)));
  check("profile", JSON.stringify(values) === JSON.stringify(file.profile.deltas.flat()), "other deltas");
  check("profile", JSON.stringify([block.registers.readUInt32LE(0), block.registers.readUInt32LE(4)]) === JSON.stringify(file.profile.registers), "registers");
  check("profile", encode(decode(opened.body)).equals(opened.body), "written otherwise");
  check("profile", new Sealer(keys.toServer, linkId, TO_SERVER, keys.sid).seal(opened.body, opened.counter).equals(hex(file.profile.frame)), "frame");
}

const all = exact(readFileSync(new URL("messages.json", folder), "utf8"));
for (const one of all.messages) checkCase(one, all);
for (const one of all.variants) checkCase({ ...one, ignored: "99" in one.map }, all);
check("messages.json", all.messages.length === Object.keys(TYPE).length && all.messages.every((one) => NAME[one.type] === one.name), "not one of every type");
checkProofs(all);
checkPrinted(exact(readFileSync(new URL("frames.json", folder), "utf8")));
console.log(`${all.messages.length} messages, ${all.variants.length} variants, ${checks} checks, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
