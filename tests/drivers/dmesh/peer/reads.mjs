// Reading on demand: a read id starts once, its parts add up, and they are owed until the server has taken the last.
import { RESULT, bits } from "./message.mjs";

const RADIO_MS = 300;
const FORGET_S = 3600;

export class Reads {
  constructor(owner) {
    this.owner = owner;
    this.known = new Map();
  }

  start(session, { read_id: id, modules, deadline }, corr) {
    const name = id.toString("hex");
    const now = this.owner.clock();
    for (const [one, read] of this.known) if (now > read.deadline + FORGET_S) this.known.delete(one);
    if (this.known.has(name)) {
      session.result(corr, "DUPLICATE");
      return this.send(this.known.get(name));
    }
    if (now > deadline) return session.result(corr, "EXPIRED");
    const wanted = bits(modules);
    if (!wanted.length) return session.result(corr, "BAD_ARGUMENT");
    const read = { id, deadline, wanted, parts: [], closed: false };
    this.known.set(name, read);
    session.result(corr, "ACCEPTED");
    wanted.forEach((index, i) => setTimeout(() => this.heard(read, index), RADIO_MS * (i + 1)));
    return undefined;
  }

  heard(read, index) {
    read.parts.push(this.owner.readModule(index));
    this.sendPart(read, read.parts.length - 1);
  }

  sendPart(read, part) {
    const session = this.owner.session();
    const final = part === read.wanted.length - 1;
    const fields = { read_id: read.id, part, readings: read.parts[part], final };
    if (!final) session?.tell("READ_RESULT", fields);
    else session?.request("READ_RESULT", fields, ({ fields: answer }) => { read.closed ||= answer.code === RESULT.OK; });
  }

  send(read) { read.parts.forEach((_, part) => this.sendPart(read, part)); }

  resume() { for (const read of this.known.values()) if (!read.closed) this.send(read); }
}
