// The concentrator: dials the server, says who it is, owes it the archive and the events, and hands each request to who can do it.
import { randomInt } from "node:crypto";
import { Answer, Archive, block } from "./archive.mjs";
import { Commands } from "./commands.mjs";
import { Module } from "./field.mjs";
import { Keyring } from "./keyring.mjs";
import { RESULT, bits } from "./message.mjs";
import { Reads } from "./reads.mjs";
import { Session } from "./session.mjs";
import { Store } from "./store.mjs";

const CAPABILITIES = 1 | 8 | 32 | 64 | 512;       // GROUP_COMMANDS, INFO, READ_NOW, SINGLE_COMMANDS, KEYS
export const GENERATION = 1;
const LEAST = new Set(["GET_MODULES"]);           // what nobody can do without
const BACK_OFF_MS = 15 * 60_000;

export class Concentrator {
  constructor(config) {
    this.config = { reconnect_ms: [0, 60_000], max_frame: 4096, clock_offset_s: 0, least: false, ...config };
    this.store = new Store(config.state, () => ({
      link: { active: { id: 0, key: Buffer.from(config.link_key, "hex") }, next: null, previous: null },
      archive: { id: randomInt(1, 2 ** 32), records: [], acknowledged: 0 }, groups: {}, groupKeys: {}, moduleKeys: {},
      events: { list: [], acknowledged: 0, newest: 0 },
    }));
    this.modules = new Map(config.modules.map((one) => [one.index, new Module({
      ...one, eui: BigInt(`0x${one.eui}`), key: one.key ? Buffer.from(one.key, "hex") : null,
    })]));
    this.keyring = new Keyring(this.store, config.link_id, (eui) => [...this.modules.values()].some((module) => module.eui === eui));
    this.archive = new Archive(this.store);
    this.commands = new Commands(this);
    this.reads = new Reads(this);
    this.boot = randomInt(1, 2 ** 32);
    this.started = Date.now();
    this.clockOffset = 1000 * this.config.clock_offset_s;
    this.clockSet = false;
    this.held = [];                               // rows that only the modules have
    this.answers = new Map();                     // corr of an ARCH_READ -> what is still to be sent
    this.attempts = 0;
    this.counts = { sessions: 0, ends: [], heard: {}, asked: [], cuts: [], replay: 0, forged: 0, unusable: 0, plain: 0, key: 0, pongs: 0 };
    this.raise(16);                               // CONCENTRATOR_RESTARTED
  }

  clock() { return Math.floor((Date.now() + this.clockOffset) / 1000); }
  timeGood() { return this.clockSet; }
  session() { return this.link?.state === "up" ? this.link : null; }
  linkKeys() { return this.keyring.candidates(); }
  moduleKey(module) { return this.keyring.moduleKey(module); }

  dial() {
    if (!this.link) this.link = new Session(this, { host: this.config.host, port: this.config.port, linkId: this.config.link_id });
  }

  hello() {
    const { archive, events } = this.store.state;
    return {
      min_version: 0x10, max_version: 0x10, model: "node", firmware: "1.0", boot_id: this.boot, archive_id: archive.id, 
      capabilities: this.config.least ? 0 : CAPABILITIES,
      max_frame: this.config.max_frame, t1: this.config.t1 ?? 15, t3: this.config.t3 ?? 20, oldest: this.archive.oldest, newest: this.archive.newest,
      newest_event: events.newest,
    };
  }

  ready(session, { archive_cursor: cursor, event_cursor: events, credit }) {
    this.attempts = 0;
    this.counts.sessions += 1;
    this.keyring.proven(session.key);
    const eventsDone = this.store.state.events;
    eventsDone.acknowledged = Math.max(eventsDone.acknowledged, events);
    if (!this.config.least) this.sendTopology(session, 0);
    this.sendEvents();
    this.commands.resume();
    this.reads.resume();
    this.archive.resume(session, cursor, credit);
  }

  ended(session, why, retryAfter) {
    for (const [name, count] of Object.entries(session.counts)) this.counts[name] += count;
    this.counts.ends.push(why);
    this.archive.reset();
    this.answers.clear();
    this.link = null;
    if (this.stopped) return;
    const [low, high] = this.config.reconnect_ms;
    const grown = Math.min(BACK_OFF_MS, high * 2 ** this.attempts++);
    setTimeout(() => this.dial(), Math.max(1000 * retryAfter, low + Math.random() * (grown - low)));
  }

  // -------------------------------------------------------------- what the server asks
  request(session, message, corr) {
    const { name, fields } = message;
    this.count(name);
    const known = {
      TIME_SET: () => { this.setTime(fields.time); session.result(corr, "OK"); },
      GET_INFO: () => session.answer("INFO", corr, { model: "node", firmware: "1.0", uptime_s: Math.floor((Date.now() - this.started) / 1000), modules: this.modules.size, configuration: 1 }),
      GET_MODULES: () => this.moduleList(session, fields, corr),
      GET_TOPOLOGY: () => (fields.page ? session.result(corr, "UNKNOWN") : this.sendTopology(session, corr)),
      ARCH_READ: () => this.archiveRead(session, fields, corr),
      READ_NOW: () => this.reads.start(session, fields, corr),
      GROUP_SET: () => this.commands.groupSet(session, fields, corr),
      GROUP_COMMAND: () => this.commands.group(session, message, corr),
      COMMAND: () => this.commands.single(session, message, corr),
      COMMAND_STATUS: () => this.commands.status(session, fields, corr),
      COMMAND_CANCEL: () => this.commands.cancel(session, fields, corr),
      COMMAND_RETRY: () => this.commands.retry(session, fields, corr),
      KEY_PUT: () => this.keyring.put(session, fields, corr),
      KEY_ACTIVATE: () => this.keyring.activate(session, fields, corr),
      KEY_REVOKE: () => this.keyring.revoke(session, fields, corr),
    }[name];
    if (known && (!this.config.least || LEAST.has(name))) return known();
    return session.answer("ERROR", corr, { code: RESULT.UNKNOWN, text: `${name} is not done here`, type: message.type });
  }

  message(session, { name, corr, fields }) {
    this.count(name);
    if (name === "ARCH_ACK" && corr) return this.answers.get(corr)?.acknowledge(fields.credit);
    if (name === "ARCH_ACK") {
      this.archive.acknowledge(fields.cursor, fields.credit);
      if (this.cutAt && fields.cursor >= this.cutAt) this.cut();
    } else if (name === "EVENT_ACK") {
      const { events } = this.store.state;
      events.acknowledged = Math.max(events.acknowledged, fields.cursor);
      events.list = events.list.filter((event) => event.sequence > events.acknowledged);
      this.store.save();
    }
    return undefined;
  }

  count(name) { this.counts.heard[name] = (this.counts.heard[name] ?? 0) + 1; }

  setTime(seconds) {
    this.clockOffset = 1000 * seconds - Date.now();
    this.clockSet = true;
  }

  moduleList(session, { generation, page }, corr) {
    if ((generation && generation !== GENERATION) || page) return session.result(corr, "UNKNOWN");
    const modules = [...this.modules.values()].map(({ index, eui, channels, adapter }) => ({ index, eui, channels, adapter, level: 1, parent: 0, rssi: -70 }));
    return session.answer("MODULE_LIST", corr, { generation: GENERATION, page: 0, pages: 1, modules });
  }

  sendTopology(session, corr) {
    const nodes = [...this.modules.keys()].map((index) => ({ index, parent: 0, level: 1 }));
    session.answer("TOPOLOGY", corr, { generation: 1, page: 0, pages: 1, time: this.clock(), nodes });
  }

  readModule(index) {
    const module = this.modules.get(index);
    if (!module) return [{ index, channel: 255, code: RESULT.UNKNOWN }];
    return module.registers.map((register, channel) => ({ index, channel, register, time: this.clock(), time_good: this.timeGood() }));
  }

  archiveRead(session, { first, hours, modules, credit }, corr) {
    const found = this.held.filter(
      ({ row, firstHour }) => bits(modules).includes(row.index) && firstHour < first + hours && firstHour + row.deltas.length > first);
    this.counts.asked.push({ first, hours, modules: bits(modules) });
    const blocks = found.map(({ row, firstHour }) => block([row], firstHour, { generation: GENERATION }));
    this.answers.set(corr, new Answer(session, corr, blocks, credit));
  }

  // ------------------------------------------------------------------------- events
  raise(code, raised = true) {
    const { events } = this.store.state;
    events.newest += 1;
    events.list.push({ sequence: events.newest, code, raised, time: this.clock(), time_good: this.clockSet });
    this.store.save();
    if (this.session()) this.sendEvents();
  }

  sendEvents() {
    const { list, acknowledged } = this.store.state.events;
    const due = list.filter((event) => event.sequence > acknowledged);
    if (due.length) this.session().tell("EVENT", { events: due });
  }

  cut() {
    this.cutAt = 0;
    this.counts.cuts.push({ acknowledged: this.archive.cursor, sent: this.archive.next - 1 });
    this.link?.cut();
  }
}
