// One connection to a server: the handshake, sealed messages both ways, requests with their answers, keep-alive.
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { equal, proof, sessionKeys } from "./keys.mjs";
import { Finder, Opener, Sealer, SEAL_BYTES, TO_CONCENTRATOR, TO_SERVER, plain } from "./frame.mjs";
import { encode } from "./cbor.mjs";
import { ANSWERS, CLOSE, RESULT, TYPE, bodyOf, read, without } from "./message.mjs";

const CACHED = 64;
const HANDSHAKE_MAX = 1024;
const HANDSHAKE_MS = 10_000;

export class Session {
  // owner: hello() -> fields without nonce; linkKeys() -> keys worth trying; ready(session, fields); request(session, message, corr);
  // message(session, message); ended(session, why, retryAfter).
  constructor(owner, { host, port, linkId }) {
    Object.assign(this, { owner, linkId, state: "connecting", heardAt: Date.now(), pings: 0, corr: 0 });
    this.waiting = new Map();
    this.answered = new Map();
    this.counts = { replay: 0, forged: 0, key: 0, plain: 0, unusable: 0, pongs: 0 };
    this.finder = new Finder(HANDSHAKE_MAX);
    this.nonce = randomBytes(16);
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on("connect", () => this.greet());
    this.socket.on("data", (bytes) => this.hear(bytes));
    this.socket.on("error", () => {});
    this.socket.on("close", () => this.end("lost"));
    this.alarm = setTimeout(() => this.close(CLOSE.TIMEOUT), HANDSHAKE_MS);
  }

  greet() {
    this.hello = bodyOf("HELLO", 0, { ...this.owner.hello(), link_id: this.linkId, nonce: this.nonce });
    this.write(plain(this.linkId, this.hello));
    this.state = "greeted";
  }

  write(frame) {
    this.lastFrame = frame;
    if (!this.socket.destroyed) this.socket.write(frame);
  }

  hear(bytes) {
    for (const frame of this.finder.feed(bytes)) {
      if (this.state === "ended") return;
      if (this.state === "proved" || this.state === "up") this.sealed(frame);
      else if (!frame.sealed) this.plain(frame.body);
    }
  }

  plain(body) {
    let message;
    try { message = read(body); } catch { return void this.close(CLOSE.PROTOCOL); }
    if (message.name === "CLOSE" && message.fields) return void this.end(`closed ${message.fields.reason}`, message.fields.retry_after);
    if (message.name === "WAKE") return undefined;
    if (this.state !== "greeted" || message.name !== "CHALLENGE" || !message.fields) return void this.close(CLOSE.PROTOCOL);
    return this.prove(body, message);
  }

  prove(body, { fields, corr, map }) {
    const bare = encode([TYPE.CHALLENGE, corr, without(map, 5)]);       // keys we do not know are under the MAC too
    const known = this.owner.linkKeys().find(({ key }) => equal(proof(key, "S", [this.hello, bare]), fields.mac));
    if (!known) return void this.close(CLOSE.BAD_KEY);
    const mac = proof(known.key, "C", [this.hello, body, bodyOf("AUTH", 0, {}, ["mac"])]);
    const keys = sessionKeys(known.key, this.nonce, fields.nonce);
    this.key = known;
    this.sealer = new Sealer(keys.toServer, this.linkId, TO_SERVER, keys.sid);
    this.opener = new Opener(keys.toConcentrator, this.linkId, TO_CONCENTRATOR, keys.sid);
    Object.assign(this, { t1: 1000 * fields.t1, t3: 1000 * fields.t3, maxFrame: fields.max_frame, state: "proved" });
    this.write(plain(this.linkId, bodyOf("AUTH", 0, { mac })));
    return undefined;
  }

  sealed(frame) {
    if (this.state === "proved" && !frame.sealed) return this.plain(frame.body);     // a CLOSE before READY is plain
    const opened = this.opener.open(frame);
    if (opened.dropped) return void (this.counts[opened.dropped] += 1);
    this.heardAt = Date.now();
    this.pings = 0;
    let message;
    try { message = read(opened.body); } catch { return void (this.counts.unusable += 1); }
    if (this.state === "proved") return this.start(message);
    return this.handle(message);
  }

  start(message) {
    if (message.name !== "READY" || !message.fields) return void this.close(CLOSE.PROTOCOL);
    clearTimeout(this.alarm);
    this.state = "up";
    this.finder.maxFrame = this.maxFrame;
    this.alarm = setInterval(() => this.keepAlive(), Math.max(100, this.t3 / 10));
    this.owner.ready(this, message.fields);
    return undefined;
  }

  keepAlive() {
    const silent = Date.now() - this.heardAt;
    if (silent >= 3 * this.t3) return this.close(CLOSE.TIMEOUT);
    if (silent >= this.t3 * (this.pings + 1)) {
      this.pings += 1;
      this.request("PING", { time: this.owner.clock() }, () => { this.counts.pongs += 1; });
    }
    return undefined;
  }

  handle(message) {
    const { name, corr, fields } = message;
    if (name === "CLOSE") return this.end(`closed ${fields?.reason}`, fields?.retry_after);
    if (name && ANSWERS.has(name)) return this.settle(message);
    if (name === "ARCH_ACK" && fields) return this.owner.message(this, message);     // its corr is that of the ARCH_READ it belongs to
    if (corr && this.answered.has(corr)) return this.answered.get(corr).forEach((body) => this.write(this.sealer.seal(body)));
    if (corr) this.remember(corr);
    if (!fields) return this.answer("ERROR", corr, { code: message.code, text: message.text, type: message.type });
    if (name === "PING") return this.answer("PONG", corr, { time: fields.time, own: this.owner.clock(), time_good: this.owner.timeGood() });
    return corr ? this.owner.request(this, message, corr) : this.owner.message(this, message);
  }

  settle(message) {
    const told = this.waiting.get(message.corr);
    this.waiting.delete(message.corr);
    if (message.fields && told) told(message);
  }

  remember(corr) {
    this.answered.set(corr, []);
    if (this.answered.size > CACHED) this.answered.delete(this.answered.keys().next().value);
  }

  answer(name, corr, fields) {
    const body = bodyOf(name, corr, fields);
    if (corr) this.answered.get(corr)?.push(body);
    this.seal(body);
  }

  result(corr, code, more = {}) { this.answer("RESULT", corr, { code: RESULT[code], ...more }); }
  tell(name, fields) { this.seal(bodyOf(name, 0, fields)); }

  request(name, fields, told) {
    const corr = (this.corr += 1);
    this.waiting.set(corr, told);
    this.seal(bodyOf(name, corr, fields));
    setTimeout(() => this.late(name, corr), this.t1).unref();
  }

  // No answer within t1: a PING finds out whether the server lives, and if not, this connection is over.
  late(name, corr) {
    if (!this.waiting.has(corr) || this.state !== "up") return;
    if (name === "PING") this.close(CLOSE.TIMEOUT);
    else this.request("PING", { time: this.owner.clock() }, () => {});
  }

  seal(body) {
    if (body.length + SEAL_BYTES > this.maxFrame) throw new RangeError(`a body of ${body.length} bytes does not fit a frame`);
    if (this.state === "up") this.write(this.sealer.seal(body));
  }

  close(reason) {
    const body = bodyOf("CLOSE", 0, { reason });
    if (this.state === "up") this.seal(body);
    else this.write(plain(this.linkId, body));
    this.socket.end();
    this.end(`we closed ${reason}`);
  }

  cut() { this.socket.destroy(); }

  end(why, retryAfter = 0) {
    if (this.state === "ended") return;
    const before = this.state;
    this.state = "ended";
    clearTimeout(this.alarm);
    clearInterval(this.alarm);
    this.socket.end();
    this.owner.ended(this, why, retryAfter, before);
  }
}
