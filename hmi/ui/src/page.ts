/** What the server wrote into the page for us: language, zone, texts, the form token. */

export interface AlarmNews {
  id: string; source: string; title: string; kind: string; priority: string; state: string; raised_ms: number;
}
export interface AlarmSummary {
  counts: Record<string, [number, number]>; waiting: number; active: number; top: AlarmNews | null;
}
interface PageData {
  language: string; zone: string; site_ms: number; rate: number; csrf: string; live: boolean; field: boolean; worker: string; user: string;
  strings: Record<string, string>;
  labels: {
    quality: Record<string, [string, string]>; priority: Record<string, [string, string]>; kind: Record<string, string>;
    point: Record<string, string>; reason: { plain: Record<string, string>; patterns: [string, string][] };
    alarm: Record<string, string>; member: Record<string, [string, string]>; command: Record<string, string>; read: Record<string, string>;
    campaign: Record<string, string>;
    supply: Record<string, string>; switch: Record<string, string>;
  };
}

export const page: PageData = JSON.parse(document.getElementById("page-data")?.textContent ?? "{}");

/** A text in the page's language; `%(name)s` is replaced. The English text is the key (hmi/translations). */
export function gettext(text: string, values: Record<string, string | number> = {}): string {
  const found = page.strings[text] || text;
  return found.replace(/%\((\w+)\)s/g, (_all, name: string) => String(values[name] ?? ""));
}

/** An instant in the site's zone with its offset: the same text as the server's `SiteTime.stamp`. */
export function stamp(ms: number): string {
  if (!ms) return "";
  const { date, time, offset } = local(ms);
  return `${date} ${time} ${offset}`;
}

const parts = new Intl.DateTimeFormat("en-GB", {
  timeZone: page.zone || "UTC", year: "numeric", month: "2-digit", day: "2-digit",
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "longOffset",
});

export function local(ms: number): { date: string; time: string; offset: string } {
  const found: Record<string, string> = {};
  for (const part of parts.formatToParts(ms)) found[part.type] = part.value;
  return {
    date: `${found.year}-${found.month}-${found.day}`,
    time: `${found.hour}:${found.minute}:${found.second}`,
    offset: (found.timeZoneName ?? "").replace("GMT", "") || "+00:00",
  };
}

const formats = new Map<number, Intl.NumberFormat>();

/** A number as the server's `formats.number` writes it; a dash where there is none. */
export function number(value: number | null, digits: number): string {
  if (value === null || !Number.isFinite(value)) return "–";
  let format = formats.get(digits);
  if (!format) {
    format = new Intl.NumberFormat(page.language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    formats.set(digits, format);
  }
  return format.format(value);
}

/** An age in its largest unit, like the server's `formats.age`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return gettext("%(n)s s", { n: seconds });
  if (seconds < 7200) return gettext("%(n)s min", { n: Math.floor(seconds / 60) });
  if (seconds < 172800) return gettext("%(n)s h", { n: Math.floor(seconds / 3600) });
  return gettext("%(n)s d", { n: Math.floor(seconds / 86400) });
}
