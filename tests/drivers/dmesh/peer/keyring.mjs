// Link, module and group keys through a change: stored before confirmed, changed before answered, never both ends locked out.
import { confirmation, equal, unwrap } from "./keys.mjs";
import { TARGET } from "./message.mjs";

const LATER = 8.64e15;                            // the key before never expires until the new one has been up

export class Keyring {
  constructor(store, linkId, knows) {
    Object.assign(this, { store, linkId, knows });
  }

  get link() { return this.store.state.link; }

  // Every link key that may open a session, newest first.
  candidates() {
    const { next, active, previous } = this.link;
    return [next, active, previous?.until > Date.now() ? previous : null].filter(Boolean);
  }

  // A session is up under this key: a key that was only stored is in use from now on, and the grace of the one before runs.
  proven({ id }) {
    const { link } = this;
    if (link.next?.id === id) this.change(link);
    if (link.active.id === id) this.countDown(link);
    this.store.save();
  }

  change(slot) {
    slot.previous = slot.active && { ...slot.active, until: LATER };
    slot.active = slot.next;
    slot.next = null;
    slot.grace = null;                            // until KEY_ACTIVATE says it
  }

  countDown(slot) {
    if (slot.previous?.until === LATER && slot.grace !== null) slot.previous.until = Date.now() + 1000 * slot.grace;
  }

  slot(target, number) {
    const { state } = this.store;
    if (target === TARGET.LINK) return number === this.linkId ? state.link : null;
    if (target === TARGET.MODULE) return this.knows(BigInt(number)) ? (state.moduleKeys[number] ??= { active: null, next: null, previous: null }) : null;
    return null;
  }

  put(session, { target, number, key_id: id, wrapped }, corr) {
    const key = unwrap(session.key.key, wrapped);
    if (!key) return session.result(corr, "CRYPTO");
    if (target === TARGET.GROUP) return this.putGroup(session, { target, number, key_id: id }, key, corr);
    const slot = this.slot(target, number);
    if (!slot) return session.result(corr, "UNKNOWN");
    const there = [slot.next, slot.active, slot.previous].find((one) => one?.id === id);
    if (there && !equal(there.key, key)) return session.result(corr, "DENIED");
    if (!there && slot.active && id < slot.active.id) return session.result(corr, "DENIED");
    if (!there) slot.next = { id, key };
    this.store.save();
    return session.answer("KEY_CONFIRM", corr, { target, number, key_id: id, check: confirmation(key) });
  }

  putGroup(session, names, key, corr) {
    const { groupKeys } = this.store.state;
    const name = `${names.number}:${names.key_id}`;
    if (groupKeys[name] && !equal(groupKeys[name], key)) return session.result(corr, "DENIED");
    groupKeys[name] = key;
    this.store.save();
    return session.answer("KEY_CONFIRM", corr, { ...names, check: confirmation(key) });
  }

  activate(session, { target, number, key_id: id, grace_s: grace }, corr) {
    const slot = this.slot(target, number);
    if (!slot || (slot.next?.id !== id && slot.active?.id !== id)) return session.result(corr, "UNKNOWN");
    if (slot.next?.id === id) this.change(slot);
    slot.grace = grace;
    if (target !== TARGET.LINK || session.key.id === id) this.countDown(slot);
    this.store.save();
    return session.result(corr, "OK");
  }

  revoke(session, { target, number, key_id: id }, corr) {
    if (target === TARGET.GROUP) {
      const name = `${number}:${id}`;
      const there = name in this.store.state.groupKeys;
      delete this.store.state.groupKeys[name];
      this.store.save();
      return session.result(corr, there ? "OK" : "UNKNOWN");
    }
    const slot = this.slot(target, number);
    const where = slot && ["next", "active", "previous"].find((one) => slot[one]?.id === id);
    if (!where) return session.result(corr, "UNKNOWN");
    if (target === TARGET.LINK && where === "active" && !slot.previous) return session.result(corr, "DENIED");
    slot[where] = null;
    if (where === "active") Object.assign(slot, { active: slot.previous, previous: null });
    this.store.save();
    return session.result(corr, "OK");
  }

  moduleKey(module) { return this.store.state.moduleKeys[module.eui]?.active?.key ?? module.key; }
}
