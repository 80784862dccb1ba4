/** One live stream for all tabs of a browser: runs in a SharedWorker, or in the page where there is none.
 *
 * A browser opens at most six connections to a server: the seventh tab with a stream of its own would never load.
 */

export type FromCore = { kind: "event"; name: string; data: unknown } | { kind: "link"; open: boolean } | { kind: "ended" };
export type ToCore = { kind: "want"; tags: string[]; csrf: string } | { kind: "alive" } | { kind: "bye" };

const EVENTS = ["hello", "beat", "tags", "alarms", "command", "read", "supply", "bye"];
const RETRY_MS = 2000;

interface Tab { tell: (news: FromCore) => void; tags: string[]; alive: number }

export class Core {
  private tabs = new Set<Tab>();
  private source: EventSource | null = null;
  private stream = "";
  private csrf = "";
  private timer = 0;

  join(tell: (news: FromCore) => void): { hear: (said: ToCore) => void } {
    const tab: Tab = { tell, tags: [], alive: Date.now() };
    this.tabs.add(tab);
    return {
      hear: (said) => {
        tab.alive = Date.now();
        if (said.kind === "bye") this.tabs.delete(tab);
        if (said.kind === "want") {
          this.csrf = said.csrf;
          tab.tags = said.tags;
          if (this.source && this.source.readyState !== EventSource.CLOSED) void this.subscribe();
          else this.connect();
        }
      },
    };
  }

  /** Forget tabs that went without saying so. */
  sweep(limitMs: number): void {
    for (const tab of this.tabs) if (Date.now() - tab.alive > limitMs) this.tabs.delete(tab);
    if (!this.tabs.size && this.source) {
      this.source.close();
      this.source = null;
    }
  }

  private broadcast(news: FromCore): void {
    for (const tab of this.tabs) tab.tell(news);
  }

  private connect(): void {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource("/live");
    this.source = source;
    for (const name of EVENTS) source.addEventListener(name, (event) => this.receive(name, JSON.parse((event as MessageEvent).data)));
    source.onerror = () => {
      this.broadcast({ kind: "link", open: false });
      if (source.readyState === EventSource.CLOSED && this.source === source) void this.lost();
    };
  }

  private receive(name: string, data: unknown): void {
    if (name === "hello") {
      this.stream = (data as { stream: string }).stream;
      this.broadcast({ kind: "link", open: true });
      void this.subscribe();
    }
    if (name === "bye" && (data as { why: string }).why === "session") {
      this.source?.close();
      this.broadcast({ kind: "ended" });
    }
    this.broadcast({ kind: "event", name, data });
  }

  private async subscribe(): Promise<void> {
    if (!this.stream) return;
    const tags = [...new Set([...this.tabs].flatMap((tab) => tab.tags))];
    try {
      await fetch("/live", {
        method: "POST", body: JSON.stringify({ stream: this.stream, tags }),
        headers: { "Content-Type": "application/json", "X-CSRF-Token": this.csrf },
      });
    } catch {
      // The stream's own error handling speaks for the link.
    }
  }

  /** The server refused the stream: because the session ended, or because it is not there. */
  private async lost(): Promise<void> {
    try {
      const answer = await fetch("/api/v1/status", { headers: { "X-Background": "1" } });
      if (answer.status === 401) return this.broadcast({ kind: "ended" });
    } catch {
      // Not there: try again below.
    }
    this.timer = setTimeout(() => this.connect(), RETRY_MS) as unknown as number;
  }
}
