/** The frame of every page: site clock, connection cell, "connection lost", controls off meanwhile, monitor-only badge. */
import { LOST_AFTER_MS, now, on, silence, type Beat } from "./live";
import { age, gettext, local } from "./page";

let lost = false;
let heard = false;

function text(id: string, said: string): void {
  const element = document.getElementById(id);
  if (element && element.textContent !== said) element.textContent = said;
}

function controls(off: boolean): void {
  for (const control of document.querySelectorAll<HTMLElement>("[data-control]")) {
    if (control instanceof HTMLButtonElement) control.disabled = off || control.dataset.locked === "1";
    else control.setAttribute("aria-disabled", String(off));
  }
}

export function isLost(): boolean {
  return lost;
}

function look(): void {
  const site = local(now());
  text("clock-date", site.date);
  text("clock-time", site.time);
  text("clock-offset", `UTC${site.offset}`);
  const quiet = silence();
  const gone = quiet > LOST_AFTER_MS;
  const cell = document.getElementById("link");
  if (cell) {
    cell.dataset.state = gone ? "lost" : heard ? "live" : "unknown";
    const symbol = cell.querySelector(".link-symbol");
    const words = cell.querySelector(".link-text");
    if (symbol) symbol.textContent = gone ? "⊘" : heard ? "●" : "○";
    if (words) words.textContent = gone ? gettext("data is %(age)s old", { age: age(quiet) }) : heard ? gettext("live") : gettext("connecting");
  }
  if (gone) text("lost-since", gettext("Data is %(age)s old.", { age: age(quiet) }));
  if (gone === lost) return;
  lost = gone;
  document.body.classList.toggle("is-lost", lost);
  const banner = document.getElementById("lost");
  if (banner) banner.hidden = !lost;
  controls(lost);
}

export function start(): void {
  on<Beat>("beat", (beat) => {
    heard = true;
    const badge = document.getElementById("monitor-only");
    if (badge) badge.hidden = !beat.monitor_only;
    look();
  });
  document.addEventListener("click", (event) => {
    const control = (event.target as Element).closest?.("[data-control]");
    if (lost && control) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);
  document.addEventListener("visibilitychange", look);
  rooms();
  setInterval(look, 250);
}

/** A room of the menu closes when one clicks elsewhere, or by Escape, which gives the focus back to its name. */
function rooms(): void {
  const open = () => document.querySelector<HTMLDetailsElement>("details.room[open]");
  document.addEventListener("click", (event) => {
    const room = open();
    if (room && !room.contains(event.target as Node)) room.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const room = open();
    if (!room || event.key !== "Escape") return;
    room.open = false;
    room.querySelector("summary")?.focus();
  });
}

/** The clock alone, for pages before log-in. */
export function clockOnly(): void {
  const tick = () => {
    const site = local(now());
    text("clock-date", site.date);
    text("clock-time", site.time);
  };
  setInterval(tick, 1000);
}
