/** The page's end of the live stream: who listens to which event, which tags this page wants, how old the last beat is. */
import { Core, type FromCore, type ToCore } from "./core";
import { page } from "./page";

export interface Beat { sequence: number; site_ms: number; rate: number; monitor_only: boolean }
export type TagNews = Record<string, [number | null, number, number]>;

type Listener = (data: never) => void;
const listeners = new Map<string, Listener[]>();
const wanted = new Set<string>();
let say: (said: ToCore) => void = () => undefined;
let beatAt = performance.now();
let siteMs = page.site_ms;
let rate = page.rate || 1;

export const LOST_AFTER_MS = 3000;

export function on<T>(event: string, listener: (data: T) => void): void {
  listeners.set(event, [...(listeners.get(event) ?? []), listener as Listener]);
}

function emit(event: string, data: unknown): void {
  for (const listener of listeners.get(event) ?? []) listener(data as never);
}

/** Site time now. [ms since 1970] */
export function now(): number {
  return siteMs + (performance.now() - beatAt) * rate;
}

/** Real time since the server last said anything. [ms] */
export function silence(): number {
  return performance.now() - beatAt;
}

let pending = 0;

/** Hear of these tags too. */
export function want(tags: Iterable<string>): void {
  for (const tag of tags) wanted.add(tag);
  clearTimeout(pending);
  pending = setTimeout(() => say({ kind: "want", tags: [...wanted], csrf: page.csrf }), 0) as unknown as number;
}

function receive(news: FromCore): void {
  if (news.kind === "ended") {
    location.reload();                                // the guard sends us to the log-in, and back here
  } else if (news.kind === "event") {
    if (news.name === "beat") {
      const beat = news.data as Beat;
      beatAt = performance.now();
      siteMs = beat.site_ms;
      rate = beat.rate;
    }
    emit(news.name, news.data);
  }
}

export function start(): void {
  if ("SharedWorker" in window && page.worker) {
    const worker = new SharedWorker(page.worker, { type: "module", name: `live-${page.user}` });
    worker.port.onmessage = (message) => receive(message.data as FromCore);
    say = (said) => worker.port.postMessage(said);
    setInterval(() => say({ kind: "alive" }), 15_000);
    addEventListener("pagehide", () => say({ kind: "bye" }));
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  } else {
    const tab = new Core().join(receive);
    say = (said) => tab.hear(said);
  }
  want([]);
}
