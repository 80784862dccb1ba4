/** Keeps every value on the page alive: number, quality, age; the server drew the first state. */
import { age, number, page } from "./page";
import { now, on, want, type TagNews } from "./live";

const BAD = 32;
const WAITING = 32; // nothing ever came: nothing is wrong with it
const UNCERTAIN = 16;

export const grade = (quality: number): string => (quality === WAITING ? "none" : quality >= BAD ? "bad" : quality >= UNCERTAIN ? "unsure" : "good");

const cells = new Map<string, HTMLElement[]>();
const bars = new Map<string, SVGElement[]>();

function show(cell: HTMLElement, value: number | null, quality: number, at: number): void {
  const [symbol, word] = page.labels.quality[String(quality)] ?? ["✖", ""];
  const text = number(value === null ? null : value * Number(cell.dataset.scale), Number(cell.dataset.digits));
  const set = (part: string, said: string) => {
    const element = cell.querySelector(part);
    if (element && element.textContent !== said) element.textContent = said;
  };
  set(".v-num", text);
  set(".v-sym", symbol);
  set(".v-word", word);
  cell.classList.remove("v-good", "v-unsure", "v-bad", "v-none");
  cell.classList.add(`v-${grade(quality)}`);
  cell.dataset.quality = String(quality);
  cell.dataset.at = String(at);
  showAge(cell);
}

function showAge(cell: HTMLElement): void {
  const at = Number(cell.dataset.at);
  const element = cell.querySelector(".v-age");
  const text = at ? age(now() - at) : "";
  if (element && element.textContent !== text) element.textContent = text;
}

function draw(bar: SVGElement, value: number | null, quality: number): void {
  const known = value !== null && Number.isFinite(value);
  bar.querySelector(".fill")?.setAttribute("width", String(known ? Math.min(Math.max(value, 0), 150) : 0));
  const level = known && value > 100 ? "over" : known && value > 90 ? "near" : "normal";
  bar.setAttribute("class", `loading l-${level} v-${grade(quality)}`);
}

export function start(): void {
  for (const cell of document.querySelectorAll<HTMLElement>("[data-tag]")) {
    const tag = cell.dataset.tag ?? "";
    cells.set(tag, [...(cells.get(tag) ?? []), cell]);
  }
  for (const bar of document.querySelectorAll<SVGElement>("svg[data-bar]")) {
    const tag = bar.dataset.bar ?? "";
    bars.set(tag, [...(bars.get(tag) ?? []), bar]);
  }
  on<TagNews>("tags", (news) => {
    for (const [tag, [value, quality, at]] of Object.entries(news)) {
      for (const cell of cells.get(tag) ?? []) show(cell, value, quality, at);
      for (const bar of bars.get(tag) ?? []) draw(bar, value, quality);
    }
  });
  setInterval(() => cells.forEach((same) => same.forEach(showAge)), 1000);
  want(cells.keys());
  want(bars.keys());
}
