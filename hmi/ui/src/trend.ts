/** The last hour of a few tags as lines: gaps stay gaps, the site's zone on the axis, arrow keys read values aloud. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { now, on, want, type TagNews } from "./live";
import { gettext, local, number, page } from "./page";

const STROKES: [string, number[]][] = [["#7a4a21", []], ["#23282c", [9, 4]], ["#4d7389", [3, 3]]];
const BAD = 32;
const DRAWN = "1200";                   // points of a line: more than a screen has pixels is waste

interface History { series: { tag: string; at_s: number[]; values: (number | null)[] }[] }

class Trend {
  private plot: uPlot | null = null;
  private data: (number | null | undefined)[][] = [[]];
  private readonly tags: string[];
  private readonly names: string[];
  private readonly scale: number;
  private readonly unit: string;
  private readonly box: HTMLElement;
  private cursor = -1;

  constructor(private readonly figure: HTMLElement) {
    this.tags = JSON.parse(figure.dataset.trend ?? "[]") as string[];
    this.names = JSON.parse(figure.dataset.names ?? "[]") as string[];
    this.scale = Number(figure.dataset.scale ?? 1);
    this.unit = figure.dataset.unit ?? "";
    this.box = figure.querySelector(".trend-box") as HTMLElement;
    on<TagNews>("tags", (news) => this.append(news));
    on("hello", () => void this.load());
    this.box.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.box);
    want(this.tags);
    void this.load();
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(280, this.box.clientWidth), height: 300 };
  }

  private async load(): Promise<void> {
    const range = [["minutes", this.figure.dataset.minutes ?? "60"], ["points", DRAWN]] as [string, string][];
    const query = new URLSearchParams([...range, ...this.tags.map((tag): [string, string] => ["tag", tag])]);
    const answer = await fetch(`/api/v1/history?${query}`, { headers: { "X-Background": "1" } }).catch(() => null);
    if (!answer?.ok) return;
    const history = (await answer.json()) as History;
    const tables = history.series.map((one) => [one.at_s, one.values.map((value) => (value === null ? null : value * this.scale))] as uPlot.AlignedData);
    this.data = uPlot.join(tables) as (number | null | undefined)[][];
    this.draw();
  }

  private draw(): void {
    if (this.plot) {
      this.plot.setData(this.data as uPlot.AlignedData);
      return this.summarise();
    }
    this.box.replaceChildren();
    const axis = { stroke: "#3d474e", font: "13px system-ui, sans-serif", grid: { stroke: "#c9ced2", width: 1 }, ticks: { stroke: "#c9ced2" } };
    this.plot = new uPlot({
      ...this.size(),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), page.zone),
      scales: { x: { time: true, range: () => [now() / 1000 - 60 * Number(this.figure.dataset.minutes ?? 60), now() / 1000] } },
      axes: [
        { ...axis, values: (_plot, splits) => splits.map((at) => local(at * 1000).time.slice(0, 5)) },
        { ...axis, size: 70, values: (_plot, splits) => splits.map((value) => number(value, splits.every((v) => Number.isInteger(v)) ? 0 : 1)) },
      ],
      series: [
        { label: gettext("Time"), value: (_plot, at) => (at ? `${local(at * 1000).time} ${local(at * 1000).offset}` : "–") },
        ...this.tags.map((_tag, place) => {
          const [stroke, dash] = STROKES[place % STROKES.length] as [string, number[]];
          return { label: this.names[place] ?? "", stroke, dash, width: 1.6, points: { show: false },
            value: (_plot: uPlot, value: number | null) => (value === null || value === undefined ? "–" : `${number(value, 2)} ${this.unit}`) };
        }),
      ],
      cursor: { drag: { x: false, y: false } },
    }, this.data as uPlot.AlignedData, this.box);
    this.summarise();
  }

  private append(news: TagNews): void {
    if (!this.plot) return;
    const told = this.tags.map((tag) => news[tag]);
    const at = Math.max(...told.map((one) => (one ? one[2] / 1000 : 0)));
    const times = this.data[0] as number[];
    if (!at || (times.length && at <= (times[times.length - 1] as number))) return;
    times.push(at);
    told.forEach((one, place) => this.data[place + 1]?.push(one ? (one[0] === null || one[1] >= BAD ? null : one[0] * this.scale) : undefined));
    const oldest = at - 60 * Number(this.figure.dataset.minutes ?? 60) * 1.05;
    while ((times[0] ?? at) < oldest) this.data.forEach((column) => column.shift());
    this.plot.setData(this.data as uPlot.AlignedData);
    this.summarise();
  }

  private summarise(): void {
    const line = this.figure.querySelector(".trend-summary");
    if (!line || this.cursor >= 0) return;
    const said = this.tags.map((_tag, place) => {
      const known = (this.data[place + 1] ?? []).filter((value): value is number => typeof value === "number");
      return known.length
        ? `${this.names[place]}: ${number(Math.min(...known), 1)} … ${number(Math.max(...known), 1)} ${this.unit}`
        : `${this.names[place]}: –`;
    });
    const title = gettext("Lowest and highest of the hour");
    const text = `${title}: ${said.join("; ")}`;
    if (line.textContent !== text) line.textContent = text;
  }

  /** Arrow keys move a cursor; the live region reads what stands there. */
  private step(event: KeyboardEvent): void {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[event.key];
    const times = this.data[0] as number[];
    if (event.key === "Escape") this.cursor = -1;
    if (move === undefined || !this.plot || !times.length) return;
    event.preventDefault();
    event.stopPropagation();
    const from = this.cursor < 0 ? times.length : this.cursor;
    this.cursor = Math.min(Math.max(from + move, 0), times.length - 1);
    const at = times[this.cursor] as number;
    const y = this.data[1]?.[this.cursor];
    this.plot.setCursor({ left: this.plot.valToPos(at, "x"), top: typeof y === "number" ? this.plot.valToPos(y, "y") : 10 });
    const line = this.figure.querySelector(".trend-summary");
    if (line) {
      line.textContent = `${local(at * 1000).time}: ` + this.tags.map((_tag, place) => {
        const value = this.data[place + 1]?.[this.cursor];
        return `${this.names[place]} ${typeof value === "number" ? number(value, 2) : "–"} ${this.unit}`;
      }).join("; ");
    }
  }
}

for (const figure of document.querySelectorAll<HTMLElement>("figure[data-trend]")) new Trend(figure);
