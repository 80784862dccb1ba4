/** A command's progress, member by member, as the desk tells it; and the confirmation before one leaves. */
import { html, render } from "lit";
import { on } from "./live";
import { page, stamp } from "./page";

interface Result { eui: string; state: string; reason: string; changed_ms: number }
interface Command { id: string; action?: string; state: string; counts: Record<string, number>; total: number; members?: Result[] }

const RESTORABLE = new Set(["collecting", "active", "unknown"]);

/** A result of a module in the page's language; what is not known is shown as it came. */
export function inWords(reason: string): string {
  const plain = page.labels.reason.plain[reason];
  if (plain) return plain;
  for (const [pattern, said] of page.labels.reason.patterns) {
    const found = new RegExp(pattern).exec(reason);
    if (found) return said.replace(/%\((\w+)\)s/g, (_all, name: string) => found.groups?.[name] ?? "");
  }
  return reason;
}

function show(command: Command): void {
  for (const place of document.querySelectorAll<HTMLElement>(`[data-command="${CSS.escape(command.id)}"]`)) {
    const state = place.querySelector("[data-state]");
    const said = page.labels.command[`${command.action ?? ""}:${command.state}`] ?? page.labels.command[command.state];
    if (state) state.textContent = said ?? command.state;
    const executed = place.querySelector("[data-executed]");
    if (executed) executed.textContent = String((command.counts.executed ?? 0) + (command.counts.restored ?? 0));
  }
  const rows = document.querySelector<HTMLElement>(`[data-members="${CSS.escape(command.id)}"]`);
  if (!rows) return;
  for (const result of command.members ?? []) {
    const row = rows.querySelector<HTMLElement>(`tr[data-eui="${CSS.escape(result.eui)}"]`);
    if (!row) continue;
    const [symbol, word] = page.labels.member[result.state] ?? ["", result.state];
    row.className = `m-${result.state}`;
    const set = (part: string, said: string) => {
      const cell = row.querySelector(part);
      if (cell && cell.textContent !== said) cell.textContent = said;
    };
    set("[data-result]", `${symbol} ${word}`);
    set("[data-reason]", result.reason.split("; ").map(inWords).join("; "));
    set("[data-changed]", stamp(result.changed_ms));
  }
  const counts = document.getElementById("command-counts");
  if (counts) {
    render(html`${Object.entries(command.counts).map(([state, n]) => {
      const [symbol, word] = page.labels.member[state] ?? ["", state];
      return html`<li class="m-${state}"><b>${n}</b> <span aria-hidden="true">${symbol}</span> ${word}</li>`;
    })}`, counts);
  }
  const restore = document.getElementById("restore");
  if (restore) restore.hidden = !RESTORABLE.has(command.state);
}

export function start(): void {
  document.getElementById("command-counts")?.replaceChildren();
  const shown = document.querySelector<HTMLElement>("[data-members]")?.dataset.members;
  on<Command>("command", show);
  if (shown) {
    // What happened between the page and the stream, or while the stream was cut.
    on("hello", () => {
      void fetch(`/api/v1/dispatch/commands/${encodeURIComponent(shown)}`, { headers: { "X-Background": "1" } })
        .then(async (answer) => answer.ok && show((await answer.json()) as Command))
        .catch(() => undefined);
    });
  }
  const form = document.querySelector<HTMLFormElement>("form[data-confirm]");
  const button = form?.querySelector<HTMLButtonElement>("[data-needs-confirm]");
  const field = form?.querySelector<HTMLInputElement>("[name=confirm]");
  if (!form || !button || !field) return;
  const check = () => {
    const fits = field.value.trim() === form.dataset.confirm;
    button.dataset.locked = fits ? "0" : "1";
    button.disabled = !fits || document.body.classList.contains("is-lost");
  };
  field.addEventListener("input", check);
  form.addEventListener("submit", () => setTimeout(() => (button.disabled = true), 0));   // once
  check();
}
