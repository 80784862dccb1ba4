// The modules behind the concentrator: their registers, their loads, and their own say about every command.
import { encode } from "./cbor.mjs";
import { commandMac, equal } from "./keys.mjs";
import { ACTION, HOLDER, RESULT, without } from "./message.mjs";

const CAP_S = 4 * 3600;

export class Module {
  constructor({ index, eui, channels, adapter = "", loadClass = 2, never = false, key = null }) {
    Object.assign(this, { index, eui, channels, adapter, loadClass, never, registers: Array(channels).fill(0), shed: null, holders: new Set(), done: new Map() });
    this.key = key;
    this.newest = new Map();                      // key scope (group or own) -> highest ctr
    this.log = [];
  }

  get supplied() { return !this.shed && this.holders.size === 0; }

  // Result code of a group or single command, as the module itself decides it; `restored` is called when a shed is over.
  execute(map, fields, { key, scope, now, restored, clockGood }) {
    if (!key || !equal(commandMac(key, encode(without(map, 10))), fields.mac)) return RESULT.CRYPTO;
    const id = fields.command_id.toString("hex");
    if (this.done.has(id)) return this.done.get(id);
    if (fields.ctr <= (this.newest.get(scope) ?? -1)) return RESULT.DENIED;
    const code = this.decide(fields, now, clockGood);
    this.newest.set(scope, fields.ctr);
    this.done.set(id, code);
    if (code === RESULT.OK) this.carryOut(fields, restored);
    return code;
  }

  decide(fields, now, clockGood) {
    if (now > fields.not_after) return RESULT.EXPIRED;
    if (fields.eui !== undefined && BigInt(fields.eui) !== this.eui) return RESULT.INTERLOCK;
    const timed = fields.action === ACTION.SHED || fields.action === ACTION.SUPPLY_OFF;
    if (timed && !clockGood) return RESULT.INTERLOCK;
    if (fields.action === ACTION.SHED) {
      if (!this.adapter || this.never || this.loadClass === 0) return RESULT.DENIED;
      if (fields.load_class !== undefined && fields.load_class !== this.loadClass) return RESULT.DENIED;
      if (fields.off_for_s === 0 || fields.off_for_s > CAP_S) return RESULT.BAD_ARGUMENT;
    }
    if (fields.action === ACTION.SUPPLY_OFF && this.never && fields.holder === HOLDER.DEBT) return RESULT.DENIED;
    return RESULT.OK;
  }

  carryOut(fields, restored) {
    this.log.push({ action: fields.action, id: fields.command_id.toString("hex") });
    if (fields.action === ACTION.SHED && !this.shed) {
      this.shed = { restored, timer: setTimeout(() => this.restore(), 1000 * fields.off_for_s).unref() };
    }
    if (fields.action === ACTION.RESTORE) this.restore();
    if (fields.action === ACTION.SUPPLY_OFF) this.holders.add(fields.holder);
    if (fields.action === ACTION.SUPPLY_ON) this.holders.delete(fields.holder);
  }

  restore() {
    if (!this.shed) return;
    const { restored, timer } = this.shed;
    clearTimeout(timer);
    this.shed = null;
    restored?.();
  }
}
