/** Alarm banner, alarm table and the acknowledge dialog (key A). */
import { html, render } from "lit";
import { gettext, page, stamp, type AlarmNews, type AlarmSummary } from "./page";
import { on } from "./live";
import { isLost } from "./frame";

let summary: AlarmSummary | null = null;
let asked = 0;

const words = (kind: string): string => page.labels.kind[kind] ?? kind.replace(/_/g, " ");

/** What it is about: the words for a quantity in the page's language, else its title in the registry. */
function about(alarm: AlarmNews): { name: string; title: string } {
  const [device = "", point = ""] = alarm.source.split("/");
  const title = page.labels.point[point] ?? alarm.title;
  return { name: title ? device : alarm.source, title };
}

function drawBanner(): void {
  const counts = document.querySelector<HTMLElement>(".banner-counts");
  const top = document.querySelector<HTMLElement>(".banner-top");
  if (!summary || !counts || !top) return;
  const shown = summary;
  const meaning = gettext("not acknowledged / active");
  const nothing = gettext("No alarm waits for acknowledgement.");
  render(html`${["high", "medium", "low"].map((priority) => {
    const [symbol, name] = page.labels.priority[priority] ?? ["", ""];
    const [active, waiting] = shown.counts[priority] ?? [0, 0];
    return html`<a class="count p-${priority} ${waiting ? "waits" : ""}" href="/alarms"
      title="${name}: ${meaning}"><span class="p-symbol" aria-hidden="true">${symbol}</span><span class="sr">${name}</span> <b>${waiting}</b>/${active}</a> `;
  })}`, counts);
  const worst = shown.top;
  render(worst
    ? html`<span class="p-${worst.priority}"><span class="p-symbol" aria-hidden="true">${page.labels.priority[worst.priority]?.[0]}</span> <b title=${worst.source}>${about(worst).name}</b>${about(worst).title && " "}${about(worst).title}: ${words(worst.kind)}</span> <span class="muted">${stamp(worst.raised_ms)}</span>`
    : html`<span class="muted">${nothing}</span>`, top);
  const button = document.getElementById("ack-top");
  if (button) button.hidden = !worst;
}

/** The table again, at most once a second however many alarms come. */
function refresh(): void {
  const body = document.getElementById("alarm-rows");
  if (!body || asked) return;
  asked = setTimeout(async () => {
    asked = 0;
    const answer = await fetch(body.dataset.source ?? "", { headers: { "X-Background": "1" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const selected = body.querySelector<HTMLElement>("tr:focus, tr:focus-within")?.dataset.alarm;
    body.innerHTML = await answer.text();
    if (selected) body.querySelector<HTMLElement>(`tr[data-alarm="${CSS.escape(selected)}"]`)?.focus();
    body.dispatchEvent(new CustomEvent("rows", { bubbles: true }));
  }, 700) as unknown as number;
}

function dialog(): HTMLDialogElement | null {
  return document.getElementById("ack") as HTMLDialogElement | null;
}

function open(id: string, what: string): void {
  const box = dialog();
  if (!box || isLost()) return;
  (box.querySelector("[name=alarm]") as HTMLInputElement).value = id;
  (box.querySelector("[name=comment]") as HTMLInputElement).value = "";
  (box.querySelector("#ack-what") as HTMLElement).textContent = what;
  (box.querySelector(".error") as HTMLElement).hidden = true;
  box.showModal();
  (box.querySelector("[name=comment]") as HTMLInputElement).focus();
}

/** The selected row's alarm, or the worst one that waits. */
export function acknowledge(): void {
  const row = document.querySelector<HTMLElement>("tr[data-waits='1']:focus, tr[data-waits='1']:focus-within");
  if (row?.dataset.alarm) open(row.dataset.alarm, row.dataset.what ?? row.dataset.alarm);
  else if (summary?.top) open(summary.top.id, `${summary.top.source} ${about(summary.top).title}: ${words(summary.top.kind)}`);
}

async function send(box: HTMLDialogElement): Promise<void> {
  const value = (name: string) => (box.querySelector(`[name=${name}]`) as HTMLInputElement).value;
  const error = box.querySelector(".error") as HTMLElement;
  let said = gettext("The server did not answer. Look before you repeat.");
  try {
    const answer = await fetch("/api/v1/alarms", {
      method: "POST", body: JSON.stringify({ alarm: value("alarm"), comment: value("comment") }),
      headers: { "Content-Type": "application/json", "X-CSRF-Token": page.csrf },
    });
    if (answer.ok) {
      box.close();
      return refresh();
    }
    const refusal = (await answer.json()) as { error: string; reasons: string[] };
    said = [refusal.error, ...refusal.reasons].join(" ");
  } catch {
    // `said` already tells it.
  }
  error.textContent = said;
  error.hidden = false;
}

export function start(): void {
  const first = document.getElementById("banner")?.dataset.summary;
  summary = first ? (JSON.parse(first) as AlarmSummary) : null;
  for (const part of document.querySelectorAll(".banner-counts, .banner-top")) part.replaceChildren();
  drawBanner();
  on<AlarmSummary>("alarms", (news) => {
    summary = news;
    drawBanner();
    refresh();
  });
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    const row = target.closest?.("[data-ack]")?.closest<HTMLElement>("tr");
    if (row?.dataset.alarm) {
      event.preventDefault();
      open(row.dataset.alarm, row.dataset.what ?? "");
    } else if (target.closest?.("#ack-top")) {
      event.preventDefault();
      acknowledge();
    } else if (target.closest?.("[data-close]")) {
      target.closest("dialog")?.close();
    }
  });
  dialog()?.querySelector("form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const box = dialog();
    if (box) void send(box);
  });
}
