import { about } from "../../checks/finding";
import type { Finding } from "../../checks/finding";
import { runsFinding } from "../../checks/missedRuns";
import { verificationFinding } from "../../checks/passwords";
import type { JsonReport } from "../../checks/report";
import { span, timeText } from "../../checks/time";
import { printed } from "../../core/printed";

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 28, 12, 5);
const at = (hours: number) => timeText(now + hours * hour);
const print = printed("prod", "npm");

/** The schedule's last ten runs, six hours apart. */
const runs = Array.from({ length: 10 }, (_, index) => -57.8 + index * 6);

/** What is found of a token whose runs have written, but for some. */
function tokenFindings(account: string, missed: readonly number[]): Finding[] {
  const written = runs.filter((_, index) => !missed.includes(index));
  // Vault ends a version half an hour before APIsec ends the token.
  const values = written.flatMap((hours, index): [string, string][] => [
    [`version_${index + 1}_issued`, at(hours)],
    [`version_${index + 1}_ended`, at(hours + 23.5)],
  ]);
  const last = written.at(-1) ?? 0;
  const until = { readable_until: at(last + 23.5), issued: at(last) };
  const found = `issued ${span(-last * hour)} ago, readable for ${span((last + 23.5) * hour)}, until ${until.readable_until}`;
  const known = runs.map((hours) => ({ at: now + hours * hour }));
  const seen = { known, missed: known.filter((_, index) => missed.includes(index)) };
  return [
    about("token", `token ${account}`, account).ok(found, {
      ...Object.fromEntries(values),
      ...until,
    }),
    runsFinding({ print }, account, seen as never, now + last * hour),
  ];
}

function passwordFindings(account: string, days: number, isRefused = false): Finding[] {
  const it = about("password", `password ${account}`, account);
  const values = { changed: at(-24 * days), change_open: 0, limit_days: 90 };
  const fix = `${print.own("renew", { options: `--account ${account}` })} && ${print.pulumi("up")}`;
  const mark = {
    ...{ version: 1, verifiedAt: at(isRefused ? -27 : -3) },
    ...{ refused: isRefused ? ["1"] : [], refusedCount: Number(isRefused), refusedAt: at(-3) },
  };
  return [
    days > 90
      ? it.problem(`changed ${days} days ago, passwordMaxAge is 90 days`, fix, values)
      : it.ok(`changed ${days} days ago`, values),
    verificationFinding({ print, now }, account, { mark } as never),
  ];
}

const access = (who: string, found: string) => about("access", who).ok(found);

function report(stack: string, findings: readonly Finding[]): JsonReport {
  const place = { schema: 1, project: "apisec-credentials", stack, version: "0.1.0" } as const;
  return { ...place, checkedAt: at(0), findings };
}

/** Two stacks, one of them not well: a gap in a token's history, missed runs, an old password and a refused one. */
export const pageReports: readonly JsonReport[] = [
  report("prod", [
    about("mount", "mount apisec/").ok("KV version 2 at https://vault.example.com"),
    about("policy", "policy apisec-prod-developer").ok("is as declared"),
    access(
      "members of group platform-admins",
      "reads the password of all 3 accounts and the token of all 3 accounts; changes nothing",
    ),
    access("members of group developers", "reads the token of scanner, nightly; changes nothing"),
    access(
      "pipelines of project shop/api (consumer scan)",
      "reads the token of scanner; changes nothing",
    ),
    access(
      "the rotation job in platform/apisec-rotation",
      "reads the password of scanner, nightly and the token of scanner, nightly; changes the token of scanner, nightly",
    ),
    about("access", "the deployer").skipped(
      "not known: Vault denies GET sys/policies/acl/apisec-prod-deployer (403)",
    ),
    ...tokenFindings("scanner", []),
    ...tokenFindings("nightly", [2, 3, 4, 5, 8]),
    ...passwordFindings("scanner", 12),
    ...passwordFindings("nightly", 97),
    ...passwordFindings("admin", 31, true),
    about("schedule", "schedule").ok(`17 */6 * * * UTC, next run ${at(0.2)}`, {
      ...{ active: 1, next_run: at(0.2), next_run_2: at(6.2) },
      ...{ next_run_3: at(12.2), next_run_4: at(18.2) },
    }),
  ]),
  report("staging", [
    about("mount", "mount apisec-staging/").ok("KV version 2 at https://vault.example.com"),
    access(
      "whoever has policy apisec-staging-developer",
      "reads the token of probe; changes nothing",
    ),
    ...tokenFindings("probe", []),
    ...passwordFindings("probe", 3),
    about("schedule", "schedule").ok("17 */6 * * * UTC", { active: 1, next_run: at(0.2) }),
  ]),
];
