import type { Finding, State } from "./finding";
import { isCommand } from "./report";
import type { JsonReport } from "./report";
import { escaped } from "./html";
import { timeline } from "./timeline";
import { span } from "./time";

/**
 * What is known of these stacks as one page: nothing is loaded from elsewhere, and no script is needed. All of it comes
 * from the reports, so that it says what `--json` says.
 */
export function page(reports: readonly JsonReport[]): string {
  const all = reports.flatMap(({ findings }) => findings);
  const title = `APIsec credentials: ${[...new Set(reports.map(({ stack }) => stack))].join(", ")}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
${counts(all)}
</header>
<main>
${wrong(reports)}
${reports.map(stackSection).join("\n")}
</main>
</body>
</html>
`;
}

const stateNames: Record<State, string> = {
  problem: "problems",
  warning: "warnings",
  skipped: "skipped",
  ok: "ok",
};
const states = Object.keys(stateNames) as State[];

function counts(findings: readonly Finding[]): string {
  const items = states.map((state) => {
    const count = findings.filter((finding) => finding.state === state).length;
    return `<li class="${state}"><strong data-count="${state}">${count}</strong> ${count === 1 ? state : stateNames[state]}</li>`;
  });
  return `<ul class="counts">${items.join("")}</ul>`;
}

/** What is wrong, the worst first, and what fixes it. */
function wrong(reports: readonly JsonReport[]): string {
  const rows = states
    .filter((state) => state !== "ok")
    .flatMap((state) =>
      reports.flatMap(({ stack, findings }) =>
        findings
          .filter((finding) => finding.state === state)
          .map(({ subject, found, fix }) => {
            const fixing = fix === undefined ? "" : `<br><span class="fix">${fixed(fix)}</span>`;
            return `<li class="${state}"><span class="state">${state}</span> <strong>${escaped(stack)}: ${escaped(subject)}</strong> ${escaped(found)}${fixing}</li>`;
          }),
      ),
    );
  const list = rows.length === 0 ? "<p>Nothing.</p>" : `<ol class="wrong">${rows.join("\n")}</ol>`;
  return `<section aria-labelledby="wrong"><h2 id="wrong">What is wrong</h2>${list}</section>`;
}

/** A command, or a text with commands in backticks. */
function fixed(fix: string): string {
  const parts = (isCommand(fix) ? `\`${fix}\`` : fix).split("`");
  return parts
    .map((part, index) => (index % 2 === 1 ? `<code>${escaped(part)}</code>` : escaped(part)))
    .join("");
}

function stackSection({ project, stack, version, checkedAt, findings }: JsonReport): string {
  const id = escaped(`stack-${stack}`);
  const accounts = [...new Set(findings.flatMap(({ account }) => account ?? []))];
  return `<section aria-labelledby="${id}">
<h2 id="${id}">Stack ${escaped(stack)}</h2>
<p>${escaped(project)}/${escaped(stack)}, checked at <time datetime="${escaped(checkedAt)}">${escaped(checkedAt)}</time> by version ${escaped(version)}.</p>
${counts(findings)}
<h3>Tokens</h3>
<p class="key">Bars: a token that readers had, from its issue on. <span class="gap-key">Red</span>: they had none. Crosses: runs that wrote none. Line: the time of this check. Ticks: the next runs.</p>
${accounts.map((account) => timeline(account, findings, Date.parse(checkedAt))).join("\n")}
<h3>Passwords</h3>
${passwords(accounts, findings, Date.parse(checkedAt))}
<h3>Who can read and change what</h3>
<p class="key">By this stack's policies as they are in Vault. Policies of others, and root tokens, are not seen from here.</p>
${access(findings)}
<details><summary>All ${findings.length} findings</summary>
${table(
  ["what", "state", "found"],
  findings.map(({ subject, state, found }) => [subject, state, found]),
)}
</details>
</section>`;
}

function passwords(accounts: readonly string[], findings: readonly Finding[], now: number): string {
  const rows = accounts.flatMap((account) => {
    const of = (id: string) =>
      findings.find((finding) => finding.id === id && finding.account === account);
    const password = of("password");
    if (password === undefined) return [];
    const ago = (time: unknown) =>
      typeof time === "string" ? `${span(now - Date.parse(time))} ago` : "not known";
    const {
      changed,
      changed_before: before,
      open_since: open,
      limit_days: limit,
    } = password.values;
    return [
      [
        account,
        changed === undefined && before !== undefined ? `at least ${ago(before)}` : ago(changed),
        limit === undefined ? "none" : `${limit} days`,
        ago(of("verification")?.values["verified"]),
        open === undefined ? "no" : `since ${open}`,
        worst([password.state, of("verification")?.state ?? "ok"]),
      ],
    ];
  });
  return table(["account", "changed", "limit", "taken by APIsec", "change open", "state"], rows);
}

function worst(of: readonly State[]): State {
  return states.find((state) => of.includes(state)) ?? "ok";
}

/** Where a policy could not be read, what was found says so. */
function access(findings: readonly Finding[]): string {
  const rows = findings.filter(({ id }) => id === "access");
  if (rows.length === 0) return "<p>Not known: this check has not asked.</p>";
  return table(
    ["who", "can"],
    rows.map(({ subject, found }) => [subject, found]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map(
    ([first = "", ...others]) =>
      `<tr><th scope="row">${escaped(first)}</th>${others.map((text) => `<td>${escaped(text)}</td>`).join("")}</tr>`,
  );
  const titles = head.map((text) => `<th scope="col">${escaped(text)}</th>`).join("");
  return `<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead><tr>${titles}</tr></thead><tbody>${cells.join("\n")}</tbody></table></div>`;
}

const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --ok: #1a7f37; --warning: #8a5a00; --problem: #c5221f; --skipped: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --text: #e6edf3; --soft: #9da7b1; --line: #3d444d;
  --ok: #4ac26b; --warning: #e3b341; --problem: #ff7b72; --skipped: #9da7b1; } }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.ok { color: var(--ok); } .warning { color: var(--warning); } .problem { color: var(--problem); }
.skipped, .key { color: var(--soft); }
.wrong li { margin-bottom: .6rem; color: var(--text); } .state { font-weight: bold; }
.wrong .problem .state, .gap-key { color: var(--problem); } .wrong .warning .state { color: var(--warning); }
code { padding: .1rem .3rem; border: 1px solid var(--line); border-radius: .2rem; }
.wide { overflow-x: auto; overflow-wrap: normal; } table { border-collapse: collapse; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left; font-weight: normal; }
thead th { color: var(--soft); }
figure { margin: 0 0 1rem; } figcaption { font-weight: bold; } svg { display: block; width: 100%; height: 2.5rem; overflow: visible; }
svg .bar { fill: var(--ok); } svg .gap { fill: var(--problem); }
svg rect { stroke: var(--ground); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .missed { fill: none; stroke: var(--problem); stroke-width: 2; vector-effect: non-scaling-stroke; } svg .now { stroke: var(--text); } svg .next { stroke: var(--soft); }
svg .axis { stroke: var(--line); } svg line { vector-effect: non-scaling-stroke; stroke-width: 2; }
`;
