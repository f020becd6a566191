import { defaultApisecPaths } from "../../clients/apisec";
import { parseMark } from "../../core/mark";
import { newPassword } from "../../core/newPassword";
import type { Data, FaultLab, TestAccount } from "./faultLab";
import { openGate } from "./gate";
import type { Call, Gate } from "./gate";
import type { ProviderAnswer, ProviderRequest } from "./processes";

/** How things stand when the run starts. Passwords by name: `first`, `p1`, `p2`, … */
export interface Start {
  title: string;
  /** The record, or none. */
  record?: {
    password: string;
    generation: number;
    pending?: [password: string, generation: number];
  };
  live: string;
  /** Whether config still has the first password. */
  first?: boolean;
  wanted: number;
}

/** One account of the matrix, with its own way to the outside and its own eyes. */
export interface PasswordCase {
  account: TestAccount;
  gate: Gate;
  passwords: Record<string, string>;
  request: ProviderRequest;
  violations: string[];
  /** Every call and every effect is looked at from now on. */
  watch(): void;
  /**
   * Looks whether the password that logs in is where the next run finds it, and whether what a monitor reads beside it
   * is no better than that.
   */
  look(moment: string): Promise<void>;
  /** Looks at what a disturbed run said. */
  lookAt(answer: ProviderAnswer): void;
  /** Looks at the end of a run that nothing disturbed. */
  lookAtEnd(answer: ProviderAnswer): Promise<void>;
  close(): Promise<void>;
}

/** Codes of messages that say something about the world which no fault makes true. */
const falseAlarms = new Set([
  "changed-outside",
  "nothing-works",
  "first-password-refused",
  "first-password",
  "other-identity",
  "wrong-user",
  "host-change-open",
  "host-refuses",
  "deleted",
  "unreadable-record",
  "admin-token",
  "changer",
]);

export async function openPasswordCase(
  lab: FaultLab,
  start: Start,
  changedBy: boolean,
): Promise<PasswordCase> {
  const passwords: Record<string, string> = {};
  for (const name of ["first", "p1", "p2", "changer"]) passwords[name] = newPassword();
  const secretOf = (name: string) => passwords[name] ?? "";
  const [account, changer] = await Promise.all([
    lab.account(secretOf(start.live), changedBy ? ["ROLE_USER"] : undefined),
    changedBy ? lab.account(secretOf("changer")) : undefined,
  ]);
  const gate = await openGate(lab);
  const key = `${account.name}/password`;
  const recordOf = ({ username }: TestAccount, data: Data): Data => ({
    ...{ username, host: gate.apisecUrl, organization: "Acme", changed_at: "2026-11-01T00:00:00Z" },
    ...data,
  });
  if (start.record !== undefined) {
    const { password, generation, pending } = start.record;
    const open = pending && {
      pending_password: secretOf(pending[0]),
      pending_generation: pending[1],
    };
    await lab.write(key, recordOf(account, { password: secretOf(password), generation, ...open }));
  }
  if (changer !== undefined) {
    const record = recordOf(changer, { password: secretOf("changer"), generation: 1 });
    await lab.write(`${changer.name}/password`, record);
  }

  const violations: string[] = [];
  const tokens = new Set<string>();
  /** Passwords that have logged in while the case was watched. */
  const taken = new Set<unknown>();
  /** All that the runs told. */
  let all = "";

  async function look(moment: string): Promise<void> {
    const newest = await lab.read(key);
    const stored = [newest?.data["password"], newest?.data["pending_password"]];
    // Before the first write of the program, config has the password that works.
    if (start.first && (newest?.version ?? 0) <= (start.record === undefined ? 0 : 1)) {
      stored.push(passwords["first"]);
    }
    const isLive = await Promise.all(stored.map((password) => lab.isLive(account, password)));
    if (!isLive.includes(true)) {
      violations.push(`${moment}: the password that logs in is not in the newest record`);
    }
    const flattering = newest && markProblem(newest, isLive[0] === true, taken);
    if (flattering !== undefined) violations.push(`${moment}: the mark ${flattering}`);
  }

  async function onCall(call: Call): Promise<"pass"> {
    if (call.path.includes("reset-password") && (await lab.isLive(account, passwordIn(call)))) {
      violations.push(`call ${call.n} asks for a change to a password that already logs in`);
    }
    return "pass";
  }

  return {
    account,
    gate,
    passwords,
    violations,
    request: {
      firstPasswords: start.first ? { [account.name]: secretOf("first") } : {},
      inputs: {
        name: account.name,
        username: account.username,
        host: gate.apisecUrl,
        organization: "Acme",
        generation: start.wanted,
        ...(changer === undefined ? {} : { changedBy: changer }),
        acceptAdminToken: false,
        published: changedBy,
        mount: "apisec",
        vaultAddress: gate.vaultUrl,
        apisecPaths: defaultApisecPaths,
      },
      ...(start.record === undefined ? {} : { olds: { host: gate.apisecUrl } }),
    },
    watch() {
      gate.before = onCall;
      gate.after = async (call, { body }) => {
        // While Vault is down nothing can be seen.
        if (changes(call)) {
          await look(`after call ${call.n} (${titleOf(call)})`).catch(() => undefined);
        }
        const token = /"token":"([^"]+)"/.exec(body.toString())?.[1];
        if (token === undefined) return;
        tokens.add(token);
        if (call.path.endsWith("/login")) taken.add(passwordIn(call));
      };
    },
    look,
    lookAt({ error, told }) {
      all += told;
      if (falseAlarms.has(error?.code ?? "")) violations.push(`false alarm: ${error?.message}`);
    },
    async lookAtEnd({ outs, error, told }) {
      all += told;
      if (outs === undefined) violations.push(`the undisturbed run failed: ${error?.message}`);
      const newest = (await lab.read(key))?.data ?? {};
      const versions = await lab.versions(key);
      const history = versions.map(({ data }) => data);
      if (newest["generation"] !== start.wanted || newest["pending_password"] !== undefined) {
        violations.push("in the end the change is not done");
      }
      if (!(await lab.isLive(account, newest["password"]))) {
        violations.push("in the end the password in the record does not log in");
      }
      const stored = history.flatMap((data) => [data["password"], data["pending_password"]]);
      const secrets = [...Object.values(passwords), ...stored, ...tokens, lab.vaultToken];
      if (secrets.some((secret) => typeof secret === "string" && all.includes(secret))) {
        violations.push("the process told a secret");
      }
      const staged = new Map<number, Set<unknown>>();
      for (const { pending_password: password, pending_generation: generation } of history) {
        if (password === undefined) continue;
        const values = staged.get(Number(generation)) ?? new Set();
        staged.set(Number(generation), values.add(password));
      }
      for (const [generation, values] of staged) {
        if (values.size > 1) {
          violations.push(`generation ${generation} was given ${values.size} passwords`);
        }
      }
      const since = versions.find(
        ({ data }) => data["pending_password"] === newest["password"],
      )?.createdTime;
      if (since !== undefined && newest["changed_at"] !== since) {
        violations.push(
          `in the end it is said to be of ${String(newest["changed_at"])}, not ${since}`,
        );
      }
      const ours = staged.get(start.wanted);
      if (ours !== undefined && !ours.has(newest["password"])) {
        violations.push("in the end the password is none that was staged");
      }
      if (changer !== undefined) {
        const record = await lab.read(`${changer.name}/password`);
        if (record?.version !== 1 || !(await lab.isLive(changer, passwords["changer"]))) {
          violations.push("the account that makes the change was changed itself");
        }
      }
    },
    close: () => gate.close(),
  };
}

function passwordIn({ body }: Call): unknown {
  return (JSON.parse(body.toString() || "{}") as Data)["password"];
}

/**
 * In what a monitor would be told something better than the truth: the mark speaks of the newest version where a
 * change is open, or of another age, or of a login that never was. `taken`: passwords that have logged in.
 */
function markProblem(
  { data, version, custom }: { data: Data; version: number; custom: unknown },
  isLive: boolean,
  taken: ReadonlySet<unknown>,
): string | undefined {
  const mark = parseMark(custom);
  // Of an older version it says that a change is open since.
  if (mark.version === undefined || mark.version < version) return undefined;
  if (mark.version > version) return "speaks of a version that is not there";
  if (data["pending_password"] !== undefined) return "hides an open change";
  if (mark.generation !== data["generation"]) return "names another generation";
  if (mark.changedAt !== data["changed_at"]) return "names another time of the change";
  if (!isLive) return "says that a password is settled which does not log in";
  const isVerified = mark.verifiedAt === undefined || taken.has(data["password"]);
  return isVerified ? undefined : "says that a password was verified which never logged in";
}

const mostRuns = 8;

/** Runs that nothing disturbs, one after the other: one that has to wait with its logins goes on in the next. */
export async function inTheEnd(
  request: ProviderRequest,
  run: (request: ProviderRequest) => Promise<ProviderAnswer>,
): Promise<ProviderAnswer> {
  let answer = await run(request);
  for (let runs = 1; runs < mostRuns; runs += 1) {
    if (!["logins-spent", "logins-paused"].includes(answer.error?.code ?? "")) break;
    answer = await run({ ...request, minutesLater: runs * 16 });
  }
  return answer;
}

/** The calls of a run that nothing disturbs. */
export async function callsOfChange(
  lab: FaultLab,
  start: Start,
  changedBy: boolean,
  run: (request: ProviderRequest) => Promise<ProviderAnswer>,
): Promise<Call[]> {
  const one = await openPasswordCase(lab, start, changedBy);
  one.watch();
  await one.lookAtEnd(await inTheEnd(one.request, run));
  await one.close();
  if (one.violations.length > 0) throw new Error(one.violations.join("\n"));
  return one.gate.calls;
}

/** Whether a call changes something outside. */
export function changes({ method, path }: Pick<Call, "method" | "path">): boolean {
  const isWrite = /\/(data|metadata)\//.test(path) || path.includes("reset-password");
  return method === "POST" && isWrite;
}

/** A call as a person would name it. */
export function titleOf({ side, method, path }: Pick<Call, "side" | "method" | "path">): string {
  if (side === "vault") return method === "GET" ? `read in Vault` : `write to Vault`;
  if (path.endsWith("/login")) return "login";
  if (path.endsWith("/login-status")) return "who-am-I";
  return path.includes("reset-password") ? "change" : "probe";
}
