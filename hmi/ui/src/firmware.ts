/** Firmware campaigns as they go on: the rows of the list, and the head and stages of one. Asked every few beats. */
import { inWords } from "./command";
import { on } from "./live";
import { number, page } from "./page";

interface Stage { number: number; total: number; missing_blocks: number; counts: Record<string, number> }
interface Campaign {
  number: number; state: string; why: string; failed_percent: number; total: number; stage: number;
  counts: Record<string, number>; stages?: Stage[]; image: { blocks: number };
}

const EVERY = 3;                        // beats of a second

function set(place: Element, part: string, said: string): void {
  const found = place.querySelector(part);
  if (found && found.textContent !== said) found.textContent = said;
}

function underWay(counts: Record<string, number>, total: number): number {
  return total - (counts.waiting ?? 0) - (counts.done ?? 0) - (counts.failed ?? 0);
}

function bar(place: Element, counts: Record<string, number>, total: number): void {
  let at = 0;
  for (const [part, count] of [
    ["done", counts.done ?? 0], ["failed", counts.failed ?? 0], ["way", underWay(counts, total)],
  ] as [string, number][]) {
    const rect = place.querySelector(`svg.progress .${part}`);
    const width = (100 * count) / Math.max(1, total);
    rect?.setAttribute("x", String(at));
    rect?.setAttribute("width", String(width));
    at += width;
  }
}

function show(campaign: Campaign): void {
  for (const place of document.querySelectorAll<HTMLElement>(`[data-campaign="${campaign.number}"]`)) {
    const before = place.dataset.was;
    place.dataset.was = `${campaign.state} ${campaign.stage}`;
    set(place, "[data-state]", page.labels.campaign[campaign.state] ?? campaign.state);
    set(place, "[data-done]", String(campaign.counts.done ?? 0));
    set(place, "[data-failed]", String(campaign.counts.failed ?? 0));
    set(place, "[data-rate]", number(campaign.failed_percent, 1));
    if (before !== undefined && before !== place.dataset.was) {
      place.querySelector<HTMLElement>("[data-changed-note]")?.removeAttribute("hidden");
      set(place, "[data-why]", campaign.why.split("; ").map(inWords).join("; "));
    }
    bar(place, campaign.counts, campaign.total);
  }
  for (const stage of campaign.stages ?? []) {
    const row = document.querySelector(`[data-stage="${stage.number}"]`);
    if (!row) continue;
    const wanted = (stage.counts.transfer ?? 0) * campaign.image.blocks;
    set(row, "[data-done]", String(stage.counts.done ?? 0));
    set(row, "[data-failed]", String(stage.counts.failed ?? 0));
    set(row, "[data-way]", String(underWay(stage.counts, stage.total)));
    set(row, "[data-delivered]", wanted ? `${number(100 * (1 - stage.missing_blocks / wanted), 0)} %` : "–");
    bar(row, stage.counts, stage.total);
  }
}

async function ask(): Promise<void> {
  const shown = document.querySelectorAll<HTMLElement>("[data-campaign]");
  const one = document.querySelector("[data-stage]") ? `/${shown[0]?.dataset.campaign}` : "";
  const answer = await fetch(`/api/v1/firmware/campaigns${one}`, { headers: { "X-Background": "1" } });
  if (!answer.ok) return;
  const said = await answer.json();
  for (const campaign of (one ? [said] : said.campaigns) as Campaign[]) show(campaign);
}

export function start(): void {
  if (!document.querySelector("[data-campaign]")) return;
  let beats = 0;
  on("beat", () => {
    beats += 1;
    if (beats % EVERY === 0 && !document.hidden) void ask().catch(() => undefined);
  });
}
