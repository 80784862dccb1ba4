// The concentrator as a process that a test drives: JSON lines in, one JSON line out for each. `node main.mjs CONFIG.json`
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { advance, block } from "./archive.mjs";
import { Concentrator, GENERATION } from "./concentrator.mjs";

// A day of pulses, `per_record` hours of one channel a record. The hours in `hole` did not arrive by radio: the module still has them.
function day(concentrator, { first_hour: firstHour, per_record: perRecord, rows, hole }) {
  const registers = rows.map((row) => row.register);
  const blocks = [];
  for (let hour = 0; hour < rows[0].deltas.length; hour += perRecord) {
    rows.forEach((row, i) => {
      const cut = (list) => list?.slice(hour, hour + perRecord);
      const part = { ...row, register: registers[i], deltas: cut(row.deltas), status: cut(row.status) };
      registers[i] = advance(registers[i], part.deltas);
      const lost = hole?.index === row.index && hole?.hour === hour;
      if (lost) concentrator.held.push({ row: part, firstHour: firstHour + hour });
      const sent = lost ? { ...part, deltas: part.deltas.map(() => null), status: undefined } : part;
      blocks.push(block([sent], firstHour + hour, { deflated: i % 2 === 1, generation: GENERATION }));
    });
  }
  rows.forEach((row, i) => { concentrator.modules.get(row.index).registers[row.channel] = registers[i]; });
  concentrator.archive.append(blocks);
  concentrator.archive.pump();
  return { records: blocks.length, registers };
}

function report(concentrator) {
  const { link, archive, events } = concentrator.store.state;
  const session = concentrator.session();
  const counts = { ...concentrator.counts };
  for (const [name, count] of Object.entries(session?.counts ?? {})) counts[name] += count;
  return {
    up: Boolean(session), clock: concentrator.clock(), clock_set: concentrator.clockSet, counts,
    archive: {
      newest: concentrator.archive.newest, acknowledged: archive.acknowledged,
      sent: Object.fromEntries(concentrator.archive.sent), sent_after_ack: concentrator.archive.sentAfterAck,
    },
    events: { newest: events.newest, acknowledged: events.acknowledged },
    link_key: { active: link.active.id, next: link.next?.id ?? null, previous: link.previous?.id ?? null, proven: session?.key.id ?? null },
    modules: [...concentrator.modules.values()].map(({ index, supplied, holders, log }) => ({ index, supplied, holders: [...holders], log })),
  };
}

function act(concentrator, { do: what, ...words }) {
  const acts = {
    dial: () => { concentrator.dial(); },
    day: () => day(concentrator, words),
    cut: () => { concentrator.cut(); },
    cut_at: () => { concentrator.cutAt = words.cursor; },
    event: () => { concentrator.raise(words.code, words.raised); },
    state: () => report(concentrator),
  };
  if (!acts[what]) throw new Error(`cannot do ${what}`);
  return acts[what]() ?? {};
}

const concentrator = new Concentrator(JSON.parse(readFileSync(process.argv[2], "utf8")));
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
createInterface({ input: process.stdin }).on("line", (line) => {
  try { say({ ok: act(concentrator, JSON.parse(line)) }); } catch (error) { say({ error: error.message }); }
}).on("close", () => process.exit(0));
