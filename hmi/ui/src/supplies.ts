/** Single supplies as they change: the state in the list, the state and the switch on the page of one. */
import { inWords } from "./command";
import { on } from "./live";
import { page } from "./page";

interface Switch { state: string; reason: string }
interface Supply { point: string; state: string; switch: Switch | null }

function set(place: Element | null, said: string): boolean {
  if (!place || place.textContent === said) return false;
  place.textContent = said;
  return true;
}

function show(supply: Supply): void {
  for (const place of document.querySelectorAll(`[data-supply="${CSS.escape(supply.point)}"]`)) {
    set(place.querySelector("[data-state]"), page.labels.supply[supply.state] ?? supply.state);
    const news = place.querySelector<HTMLElement>("[data-changed-note]");
    if (!news) continue;
    const now = supply.switch;
    const said = now ? (page.labels.switch[now.state] ?? now.state) + (now.reason ? `: ${inWords(now.reason)}` : "") : "";
    set(document.querySelector("[data-switch]"), said);
    news.hidden = false;
  }
}

export function start(): void {
  on<Supply>("supply", show);
}
