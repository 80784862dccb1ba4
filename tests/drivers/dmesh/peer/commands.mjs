// Group and single commands: taken once, brought to the modules, and answered for, also across a broken link.
import { createHash } from "node:crypto";
import { equal } from "./keys.mjs";
import { ACTION, HOLDER, RESULT, bitmap, bits } from "./message.mjs";

const RADIO_MS = 200;

function contradiction({ action, off_for_s: off, holder, level }) {
  const supply = action === ACTION.SUPPLY_OFF || action === ACTION.SUPPLY_ON;
  return (action === ACTION.SHED) !== off > 0 || supply !== (holder !== HOLDER.NONE) || (action === ACTION.LIMIT) !== level > 0;
}

export class Commands {
  constructor(owner) {
    this.owner = owner;                           // {store, modules, clock(), timeGood(), session()}
    this.known = new Map();                       // command id -> what became of it
  }

  groupSet(session, { group, epoch, members, digest }, corr) {
    const hash = createHash("sha256");
    for (const index of bits(members)) {
      const eui = Buffer.alloc(8);
      eui.writeBigUInt64BE(this.owner.modules.get(index)?.eui ?? 0n);
      hash.update(eui);
    }
    if (!equal(hash.digest(), digest)) return session.result(corr, "INTERLOCK");
    this.owner.store.state.groups[group] = { epoch, members };
    this.owner.store.save();
    return session.result(corr, "OK");
  }

  group(session, { fields, map }, corr) {
    const set = this.owner.store.state.groups[fields.group];
    const key = this.owner.store.state.groupKeys[`${fields.group}:${fields.epoch}`];
    if (!set) return this.refuse(session, fields, corr, "UNKNOWN");
    if (set.epoch !== fields.epoch) return this.refuse(session, fields, corr, "INTERLOCK");
    if (!key) return this.refuse(session, fields, corr, "CRYPTO");
    return this.take(session, { fields, map, key, members: bits(set.members), scope: `group ${fields.group}:${fields.epoch}` }, corr);
  }

  single(session, { fields, map }, corr) {
    const module = this.owner.modules.get(fields.index);
    if (contradiction(fields)) return this.refuse(session, fields, corr, "BAD_ARGUMENT");
    if (!module || module.eui !== BigInt(fields.eui)) return this.refuse(session, fields, corr, "INTERLOCK");
    return this.take(session, { fields, map, key: this.owner.moduleKey(module), members: [fields.index], scope: "own" }, corr);
  }

  refuse(session, fields, corr, code) {
    return session.result(corr, this.known.has(fields.command_id.toString("hex")) ? "DUPLICATE" : code);
  }

  take(session, command, corr) {
    const { fields, members } = command;
    const id = fields.command_id.toString("hex");
    if (this.known.has(id)) return session.result(corr, "DUPLICATE");
    if (this.owner.clock() > fields.not_after) return session.result(corr, "EXPIRED");
    const state = {
      ...command, id, received: new Set(), executed: new Set(), restored: new Set(), held: new Set(),
      refused: new Map(), took: Date.now(), latency: [], owed: 0, over: false,
    };
    this.known.set(id, state);
    session.result(corr, "ACCEPTED");
    members.forEach((index, i) => setTimeout(() => this.reach(state, index), RADIO_MS * (i + 1)));
    return undefined;
  }

  reach(state, index) {
    if (state.cancelled || state.received.has(index)) return;
    const module = this.owner.modules.get(index);
    const code = module.execute(state.map, state.fields, {
      key: state.key, scope: state.scope, now: this.owner.clock(), clockGood: this.owner.timeGood(),
      restored: () => { state.restored.add(index); this.report(state); },
    });
    state.received.add(index);
    if (code === RESULT.OK) this.executed(state, module);
    else state.refused.set(index, code);
    this.report(state);
  }

  executed(state, module) {
    state.executed.add(module.index);
    if (state.fields.action === ACTION.RESTORE && module.supplied) state.restored.add(module.index);
    if (state.fields.action === ACTION.SUPPLY_ON && module.holders.size) state.held.add(module.index);
    const bucket = Math.max(0, Math.ceil(Math.log2((Date.now() - state.took) / 1000)));
    for (let i = state.latency.length; i <= bucket; i++) state.latency.push(0);
    state.latency[bucket] += 1;
  }

  report(state) {
    state.over ||= state.received.size === state.members.length || state.cancelled || this.owner.clock() > state.fields.not_after;
    const news = (state.owed += 1);               // what is owed is the newest report; an answer to an older one settles nothing
    const session = this.owner.session();
    if (!session) return;
    const sets = Object.fromEntries(["received", "executed", "restored", "held"].filter((name) => state[name].size).map((name) => [name, bitmap(state[name])]));
    const fields = {
      command_id: state.fields.command_id, ...sets, latency: state.latency,
      refused: [...state.refused].map(([index, code]) => ({ index, code })),
    };
    if (!state.over) return session.tell("COMMAND_REPORT", fields);
    session.request("COMMAND_REPORT", { ...fields, final: true }, ({ name }) => {
      if (name === "RESULT" && state.owed === news) state.owed = 0;
    });
  }

  status(session, { command_id: id }, corr) {
    const state = this.known.get(id.toString("hex"));
    session.result(corr, state ? "OK" : "UNKNOWN");
    if (state) this.report(state);
  }

  cancel(session, { command_id: id }, corr) {
    const state = this.known.get(id.toString("hex"));
    if (state) state.cancelled = true;
    session.result(corr, state ? "OK" : "UNKNOWN");
    if (state) this.report(state);
  }

  retry(session, { command_id: id, members }, corr) {
    const state = this.known.get(id.toString("hex"));
    if (!state) return session.result(corr, "UNKNOWN");
    if (this.owner.clock() > state.fields.not_after) return session.result(corr, "EXPIRED");
    session.result(corr, "ACCEPTED");
    for (const index of bits(members)) if (state.members.includes(index)) setTimeout(() => this.reach(state, index), RADIO_MS);
    return undefined;
  }

  // What is owed after a break: the newest report of every command, until a final one was answered.
  resume() {
    for (const state of this.known.values()) if (state.owed) this.report(state);
  }
}
