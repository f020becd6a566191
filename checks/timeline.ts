import type { Finding } from "./finding";
import { escaped } from "./html";
import { span, timeOf, timeText } from "./time";

/** Times in milliseconds since 1970. */
interface Stretch {
  from: number;
  to: number;
}

/** What readers of one account's token had, and when. */
export interface TokenHistory {
  had: Stretch[];
  gaps: Stretch[];
  missed: number[];
  next: number[];
}

/** All times that a finding's values name like this one: `missed_1`, `missed_2` and so on. */
function timesOf(finding: Finding | undefined, name: RegExp): number[] {
  const entries = Object.entries(finding?.values ?? {});
  return entries
    .flatMap(([key, value]) => (name.test(key) ? (timeOf(value) ?? []) : []))
    .sort((one, other) => one - other);
}

/**
 * The history from the findings' values. Readers read the newest version: one serves from its issue until it ends or the
 * next one is there, whichever comes first; what lies between is a gap.
 */
export function historyOf(
  account: string,
  findings: readonly Finding[],
  now: number,
): TokenHistory {
  const of = (id: string) =>
    findings.find((one) => one.id === id && (one.account ?? account) === account);
  const values = of("token")?.values ?? {};
  const versions = Object.entries(values)
    .flatMap(([key, value]) => {
      const number = /^version_(\d+)_issued$/.exec(key)?.[1];
      if (number === undefined || typeof value !== "string") return [];
      const end = values[`version_${number}_ended`];
      const to = typeof end === "string" ? Date.parse(end) : Number.POSITIVE_INFINITY;
      return [{ from: Date.parse(value), to }];
    })
    .sort((one, other) => one.from - other.from);
  const had = versions.map(({ from, to }, index) => ({
    from,
    to: Math.min(to, versions[index + 1]?.from ?? Math.max(to, now)),
  }));
  const gaps = had.flatMap(({ to }, index) => {
    const next = had[index + 1]?.from ?? now;
    return to < next ? [{ from: to, to: next }] : [];
  });
  return {
    had,
    gaps,
    missed: timesOf(of("token-runs"), /^missed_\d+$/),
    next: timesOf(of("schedule"), /^next_run/),
  };
}

const width = 1_000;
const height = 40;

/** A token's history as a picture, with the same in words; nothing where no version of it is known. */
export function timeline(account: string, findings: readonly Finding[], now: number): string {
  const { had, gaps, missed, next } = historyOf(account, findings, now);
  const [first] = had;
  if (first === undefined) return "";
  const end = Math.max(now, ...next, ...had.map(({ to }) => (Number.isFinite(to) ? to : now)));
  const x = (time: number) =>
    Math.round(((Math.min(time, end) - first.from) / (end - first.from || 1)) * width * 10) / 10;
  const wide = ({ from, to }: Stretch) => Math.max(1, Math.round((x(to) - x(from)) * 10) / 10);
  const box = (kind: string, { from, to }: Stretch) =>
    `<rect class="${kind}" x="${x(from)}" y="12" width="${wide({ from, to })}" height="16"><title>${timeText(from)} to ${Number.isFinite(to) ? timeText(to) : "no end"}</title></rect>`;
  const mark = (kind: string, time: number, top: number, bottom: number) =>
    `<line class="${kind}" x1="${x(time)}" x2="${x(time)}" y1="${top}" y2="${bottom}"><title>${timeText(time)}</title></line>`;
  const cross = (time: number) =>
    `<path class="missed" d="M${x(time) - 4} 30l8 8m0-8l-8 8"><title>missed: ${timeText(time)}</title></path>`;
  const seconds = gaps.reduce((sum, { from, to }) => sum + to - from, 0);
  const words = `${account}: ${had.length} tokens since ${timeText(first.from)}; readers ${seconds === 0 ? "always had one" : `had none for ${span(seconds)}`}; ${missed.length} ${missed.length === 1 ? "run" : "runs"} missed`;
  const drawn = [
    `<line class="axis" x1="0" x2="${width}" y1="20" y2="20"/>`,
    ...had.map((stretch) => box("bar", stretch)),
    ...gaps.map((stretch) => box("gap", stretch)),
    ...missed.filter((time) => time >= first.from).map(cross),
    ...next.map((time) => mark("next", time, 28, 38)),
    mark("now", now, 2, 38),
  ];
  return `<figure><figcaption>${escaped(account)}</figcaption>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${escaped(words)}">${drawn.join("")}</svg>
<p class="key">${escaped(words)}.</p></figure>`;
}
