import { foundWithCode } from "./finding";
import type { Finding, State } from "./finding";
import { isCommand } from "./report";
import type { JsonReport } from "./report";
import { document, escaped, htmlTable } from "./html";
import { timeline } from "./timeline";
import { span } from "./time";

/**
 * What is known of these stacks as one page: nothing is loaded from elsewhere, and no script is needed. All of it comes
 * from the reports, so that it says what `--json` says.
 */
export function page(reports: readonly JsonReport[]): string {
  const all = reports.flatMap(({ findings }) => findings);
  const title = `APIsec credentials: ${[...new Set(reports.map(({ stack }) => stack))].join(", ")}`;
  return document(title, counts(all), `${wrong(reports)}\n${reports.map(stackSection).join("\n")}`);
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
          .map((finding) => {
            const { subject, fix } = finding;
            const fixing = fix === undefined ? "" : `<br><span class="fix">${fixed(fix)}</span>`;
            return `<li class="${state}"><span class="state">${state}</span> <strong>${escaped(stack)}: ${escaped(subject)}</strong> ${escaped(foundWithCode(finding))}${fixing}</li>`;
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
${htmlTable(
  ["what", "state", "found"],
  findings.map((finding) => [finding.subject, finding.state, foundWithCode(finding)]),
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
  return htmlTable(
    ["account", "changed", "limit", "taken by APIsec", "change open", "state"],
    rows,
  );
}

function worst(of: readonly State[]): State {
  return states.find((state) => of.includes(state)) ?? "ok";
}

/** Where a policy could not be read, what was found says so. */
function access(findings: readonly Finding[]): string {
  const rows = findings.filter(({ id }) => id === "access");
  if (rows.length === 0) return "<p>Not known: this check has not asked.</p>";
  return htmlTable(
    ["who", "can"],
    rows.map(({ subject, found }) => [subject, found]),
  );
}
