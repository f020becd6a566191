import { about } from "../../checks/finding";
import type { Finding } from "../../checks/finding";
import { page } from "../../checks/page";
import type { JsonReport } from "../../checks/report";
import { historyOf, timeline } from "../../checks/timeline";

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 28, 12);
const text = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`;
const at = (hours: number) => text(now + hours * hour);

/** A token with a gap of five hours, two missed runs, and what comes next. */
const findings: Finding[] = [
  about("token", "token scanner", "scanner").ok("readable", {
    ...{ version_3_issued: at(-60), version_3_ended: at(-36.5) },
    ...{ version_4_issued: at(-31.5), version_4_ended: at(-8) },
    ...{ version_10_issued: at(-12), version_10_ended: at(11.5) },
  }),
  about("token-runs", "runs for token scanner", "scanner").warning(
    "2 of …",
    "see <it>; `npm run rotate` helps",
    {
      ...{ runs_known: 10, runs_missed: 2, missed_1: at(-48), missed_2: at(-42) },
    },
  ),
  about("schedule", "schedule").ok("17", { next_run: at(0.3), next_run_2: at(6.3) }),
  about("password", "password scanner", "scanner").problem("changed 100 days ago", "npm x && y", {
    ...{ changed: at(-2_400), limit_days: 90, change_open: 0 },
  }),
  about("verification", "verification scanner", "scanner").ok("took it", { verified: at(-3) }),
  about("policy", "policy <b>&\"'</b>").skipped("<script>alert(1)</script>"),
];
const report: JsonReport = {
  ...{ schema: 1, project: "apisec-credentials", stack: "prod", version: "0.1.0" },
  ...{ checkedAt: text(now), findings },
};

test("what readers had, and when they had none, is what the versions' times say", () => {
  const times = (list: { from: number; to: number }[]) =>
    list.map(({ from, to }) => [(from - now) / hour, (to - now) / hour]);
  const { had, gaps, missed, next } = historyOf("scanner", findings, now);
  // Version 10 took the place of version 4 before that had ended.
  expect(times(had)).toEqual([
    [-60, -36.5],
    [-31.5, -12],
    [-12, 11.5],
  ]);
  expect(times(gaps)).toEqual([[-36.5, -31.5]]);
  expect(missed.map((time) => (time - now) / hour)).toEqual([-48, -42]);
  expect(next).toHaveLength(2);
});

test("a token that has ended leaves a gap until now; one without an end is there", () => {
  const of = (values: Record<string, string>) =>
    historyOf("a", [about("token", "token a", "a").problem("x", "", values)], now).gaps.length;
  expect(of({ version_1_issued: at(-30), version_1_ended: at(-6) })).toBe(1);
  expect(of({ version_1_issued: at(-30) })).toBe(0);
  expect(timeline("a", [about("token", "token a", "a").problem("there is none")], now)).toBe("");
});

test("every bar, gap, missed run and next run is drawn once, and said in words", () => {
  const drawn = timeline("scanner", findings, now);
  const count = (kind: string) => drawn.split(`class="${kind}"`).length - 1;
  expect(["bar", "gap", "missed", "next", "now"].map(count)).toEqual([3, 1, 2, 2, 1]);
  expect(drawn).toContain(
    `scanner: 3 tokens since ${at(-60)}; readers had none for 5h0m; 2 runs missed`,
  );
  const places = [...drawn.matchAll(/ (?:x|x1|x2)="([\d.-]+)"/g)].map(([, x]) => Number(x));
  expect(places.every((x) => x >= 0 && x <= 1_000)).toBe(true);
});

describe("the page", () => {
  const html = page([report, { ...report, stack: "staging", findings: findings.slice(2, 3) }]);

  test("has the numbers of the reports: of all, and of each stack", () => {
    const numbers = [...html.matchAll(/data-count="(\w+)">(\d+)</g)].map(([, state, count]) => [
      state,
      Number(count),
    ]);
    const of = (problem: number, warning: number, skipped: number, ok: number) =>
      Object.entries({ problem, warning, skipped, ok });
    expect(numbers).toEqual([...of(1, 1, 1, 4), ...of(1, 1, 1, 3), ...of(0, 0, 0, 1)]);
    expect(html).toContain("<td>100 days ago</td><td>90 days</td><td>3h0m ago</td><td>no</td>");
  });

  test("says first what is wrong and what fixes it, the worst at the top", () => {
    const list = /<ol class="wrong">([\s\S]*?)<\/ol>/.exec(html)?.[1] ?? "";
    expect([...list.matchAll(/<li class="(\w+)">/g)].map(([, state]) => state)).toEqual([
      ...["problem", "warning", "skipped"],
    ]);
    expect(list).toContain("<code>npm x &amp;&amp; y</code>");
    expect(list).toContain("see &lt;it&gt;; <code>npm run rotate</code> helps");
    expect(page([{ ...report, findings: findings.slice(0, 1) }])).toContain("<p>Nothing.</p>");
  });

  test("loads nothing, runs nothing, and shows foreign text as text", () => {
    expect(html).not.toMatch(/<script|<link|<img|\bsrc=|\bhref=|url\(|@import|\bon\w+=/i);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(html).toContain("policy &lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;");
  });

  test("is one document: a language, one first heading, ids of their own, every tag closed", () => {
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html.match(/<h1>/g)).toHaveLength(1);
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const open: string[] = [];
    for (const [, end, tag = "", , isEmpty] of html.matchAll(
      /<(\/?)([a-z][a-z0-9]*)([^<>]*?)(\/?)>/g,
    )) {
      if (isEmpty === "/" || ["meta", "br"].includes(tag)) continue;
      if (end === "") open.push(tag);
      else expect(open.pop()).toBe(tag);
    }
    expect(open).toEqual([]);
  });

  test("has colours for light and dark", () => {
    expect(html).toContain("color-scheme: light dark");
    expect(html).toContain("prefers-color-scheme: dark");
  });
});
