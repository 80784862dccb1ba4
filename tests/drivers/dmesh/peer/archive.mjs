// The log of records: what is owed to the server, in order, and kept until an acknowledgement says that it is durable there.
import { deflateSync } from "node:zlib";

const MISSING = { 2: 0xffff, 4: 0xffffffff };

// One PROFILE block of equal rows: [{index, channel, register, deltas (null: missing), status}] from `firstHour`.
export function block(rows, firstHour, { deflated = false, generation = 0 } = {}) {
  const bytes = rows.some((row) => row.deltas.some((delta) => delta >= MISSING[2])) ? 4 : 2;
  const hours = rows[0].deltas.length;
  const array = (count, size, fill) => {
    const out = Buffer.alloc(count * size);
    for (let i = 0; i < count; i++) out.writeUIntLE(fill(i), i * size, size);
    return out;
  };
  const cell = (i) => rows[Math.floor(i / hours)].deltas[i % hours] ?? MISSING[bytes];
  const deltas = array(rows.length * hours, bytes, cell);
  const status = Buffer.from(rows.flatMap((row) => row.status ?? Array(hours).fill(0)));
  const squeeze = (plain) => (deflated ? deflateSync(plain) : plain);
  return {
    first_hour: firstHour, intervals: hours,
    modules: array(rows.length, 2, (i) => rows[i].index), channels: array(rows.length, 1, (i) => rows[i].channel),
    registers: array(rows.length, 4, (i) => rows[i].register), deltas: squeeze(deltas),
    deflated: deflated ? 1 : 0, delta_bytes: bytes, generation,
    ...(status.some(Boolean) ? { status: squeeze(status) } : {}),
  };
}

// `count` pulses more on a register that wraps at 2**32.
export const advance = (register, deltas) => Number(BigInt.asUintN(32, deltas.reduce((sum, one) => sum + BigInt(one ?? 0), BigInt(register))));

export class Archive {
  constructor(store) {
    this.store = store;
    this.sent = new Map();                        // record -> how often it went out, over all sessions
    this.sentAfterAck = [];
    this.reset();
  }

  get log() { return this.store.state.archive; }
  get newest() { return this.log.records.length; }
  get oldest() { return this.newest ? 1 : 0; }

  append(blocks) {
    this.log.records.push(...blocks);
    this.store.save();
  }

  reset() { Object.assign(this, { session: null, next: 0, credit: 0, cursor: 0 }); }

  // READY says what is durable there: as good as an ARCH_ACK, for the last ones may have been lost with the link.
  resume(session, cursor, credit) {
    this.log.acknowledged = Math.max(this.log.acknowledged, Math.min(cursor, this.newest));
    Object.assign(this, { session, credit, cursor, next: cursor + 1 });
    this.pump();
  }

  pump() {
    while (this.session && this.next <= this.newest && this.next - this.cursor <= this.credit) {
      const record = this.next++;
      if (record <= this.log.acknowledged) this.sentAfterAck.push(record);
      this.sent.set(record, (this.sent.get(record) ?? 0) + 1);
      this.session.tell("PROFILE", { record, block: this.log.records[record - 1] });
    }
  }

  acknowledge(cursor, credit) {
    this.cursor = Math.max(this.cursor, cursor);
    this.log.acknowledged = Math.max(this.log.acknowledged, cursor);
    this.credit = credit;
    this.pump();
  }
}

// The answer to one ARCH_READ: its blocks, never more of them unacknowledged than the server said, and then the result.
export class Answer {
  constructor(session, corr, blocks, credit) {
    Object.assign(this, { session, corr, blocks, credit, under: 0 });
    this.result = blocks.length ? "OK" : "UNKNOWN";
    this.pump();
  }

  pump() {
    while (this.blocks.length && this.under < this.credit) {
      this.under += 1;
      this.session.answer("PROFILE", this.corr, { record: 0, block: this.blocks.shift() });
    }
    if (!this.blocks.length && !this.under) this.session.result(this.corr, this.result);
  }

  acknowledge(credit) {
    this.under -= 1;
    this.credit = credit;
    this.pump();
  }
}
