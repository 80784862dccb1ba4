/** Reads on demand as they go on: the row of the list, and the head and concentrators of one. */
import { inWords } from "./command";
import { on } from "./live";
import { page, stamp } from "./page";

interface Share { concentrator: string; state: string; reason: string; attempts: number; answered: number }
interface Read { id: string; state: string; answered: number; expected_ms: number; shares: Share[] }

const OVER = new Set(["done", "expired", "failed", "cancelled"]);

function set(place: Element, part: string, said: string): void {
  const found = place.querySelector(part);
  if (found && found.textContent !== said) found.textContent = said;
}

function show(read: Read): void {
  const reasons = read.shares.map((one) => one.reason).filter(Boolean).slice(0, 3).map(inWords).join("; ");
  for (const place of document.querySelectorAll(`[data-read="${CSS.escape(read.id)}"]`)) {
    set(place, "[data-state]", page.labels.read[read.state] ?? read.state);
    const before = place.querySelector("[data-answered]")?.textContent;
    set(place, "[data-answered]", String(read.answered));
    set(place, "[data-expected]", read.expected_ms ? stamp(read.expected_ms) : "–");
    set(place, "[data-reason]", reasons);
    const open = place.querySelector<HTMLElement>("[data-while-open]");
    if (open && OVER.has(read.state)) open.hidden = true;
    const news = place.querySelector<HTMLElement>("[data-changed-note]");
    if (news && (before !== String(read.answered) || OVER.has(read.state))) news.hidden = false;
    if (!news) continue;
    for (const share of read.shares) {
      const row = document.querySelector(`[data-share="${CSS.escape(share.concentrator)}"]`);
      if (!row) continue;
      set(row, "[data-state]", page.labels.read[share.state] ?? share.state);
      set(row, "[data-answered]", String(share.answered));
      set(row, "[data-attempts]", String(share.attempts));
      set(row, "[data-reason]", inWords(share.reason));
    }
  }
}

export function start(): void {
  on<Read>("read", show);
}
