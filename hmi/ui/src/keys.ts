/** Keyboard: "/" searches, "A" acknowledges, arrows move in tables, Enter opens a row, Esc leaves, letters go to buttons. */
import { acknowledge } from "./alarms";

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable);
}

function rows(table: HTMLTableElement): HTMLTableRowElement[] {
  return [...(table.tBodies[0]?.rows ?? [])].filter((row) => row.cells.length > 1);
}

function prepare(): void {
  for (const table of document.querySelectorAll<HTMLTableElement>("table[data-keys]")) {
    rows(table).forEach((row, place) => (row.tabIndex = place ? -1 : 0));
  }
  // What scrolls sideways must be reachable by keyboard.
  for (const box of document.querySelectorAll<HTMLElement>(".card, .scroll, .chart")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else if (box.tabIndex === 0) box.removeAttribute("tabindex");
  }
}

function move(row: HTMLTableRowElement, to: number | "first" | "last"): void {
  const all = rows(row.closest("table") as HTMLTableElement);
  const place = all.indexOf(row);
  const next = to === "first" ? all[0] : to === "last" ? all[all.length - 1] : all[Math.min(Math.max(place + to, 0), all.length - 1)];
  if (!next) return;
  row.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

/** A button of the page that has a letter: the letter goes there, and Enter presses it. */
function button(letter: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`main button[accesskey="${letter.toLowerCase()}"]:not(:disabled)`);
}

export function start(): void {
  prepare();
  document.addEventListener("rows", prepare);
  addEventListener("resize", prepare);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) return (event.target as HTMLElement).blur();
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const row = (event.target as Element).closest?.<HTMLTableRowElement>("table[data-keys] tbody tr");
    const moves: Record<string, number | "first" | "last"> = {
      ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: "first", End: "last",
    };
    const to = moves[event.key];
    if (event.key === "/") {
      event.preventDefault();
      const field = document.querySelector<HTMLInputElement>("[data-search]");
      if (field) field.select();
      else location.href = "/meters";
    } else if (event.key === "a" || event.key === "A" || event.code === "KeyA") {
      event.preventDefault();
      acknowledge();
    } else if (/^[a-z]$/i.test(event.key) && button(event.key)) {
      event.preventDefault();
      button(event.key)?.focus();
    } else if (row && event.target === row && event.key === "Enter") {
      row.querySelector<HTMLElement>("a, button")?.click();
    } else if (row && to !== undefined) {
      event.preventDefault();
      move(row, to);
    } else if (!row && event.key === "ArrowDown" && event.target === document.body) {
      const first = document.querySelector<HTMLTableElement>("table[data-keys]");
      const target = first && rows(first)[0];
      if (target) {
        event.preventDefault();
        target.focus();
      }
    }
  });
}
