import { readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { FaultInput } from "../../lab/faults";
import { startFaultLab } from "../support/faultLab";
import type { FaultLab } from "../support/faultLab";
import type { Call, Gate } from "../support/gate";
import { openPasswordCase, titleOf } from "../support/passwordCase";
import type { Start } from "../support/passwordCase";
import { startProvider, startRotation } from "../support/processes";
import type { ProcessOptions } from "../support/processes";
import { openTokenCase } from "../support/tokenCase";
import type { TokenStart } from "../support/tokenCase";
import { sampled } from "../support/sampled";

const firstRun: Start = { title: "first run", live: "first", first: true, wanted: 1 };
const older: TokenStart = { title: "older", stored: "older", password: "settled" };
const otherCa = join(__dirname, "..", "support", "tls", "ca.pem");

let lab: FaultLab;

beforeAll(async () => {
  lab = await startFaultLab();
}, 600_000);

afterEach(() => lab.vault.unseal());
afterAll(() => lab?.stop());

/** One run of a program, whichever of the two it is, with an account of its own. */
interface Program {
  gate: Gate;
  /** Whatever is wrong with what was seen of the account so far. */
  violations: string[];
  /** Runs it once and gives what it said and the most memory it took, in MB. */
  run(options?: Partial<ProcessOptions>): Promise<{ ok: boolean; told: string; megabytes: number }>;
  /** Looks for violations now. */
  look: (moment: string) => Promise<void>;
  close(): Promise<void>;
  /** An undisturbed run, after which everything must be well. */
  end(): Promise<string[]>;
}

const programs: [
  string,
  (world?: FaultLab, vaultAddress?: string, host?: string) => Promise<Program>,
][] = [
  ["the password change", openChange],
  ["the rotation", openRotation],
];

async function openChange(world = lab, vaultAddress?: string, host?: string): Promise<Program> {
  const one = await openPasswordCase(world, firstRun, false);
  const { gate, request, violations } = one;
  one.watch();
  const inputs = {
    ...request.inputs,
    vaultAddress: vaultAddress ?? request.inputs.vaultAddress,
    host: host ?? request.inputs.host,
  };
  const start = async (options: Partial<ProcessOptions>) => {
    const env = { VAULT_TOKEN: world.vaultToken, ...options.env };
    const provider = startProvider({ ...options, env });
    const answer = await provider.run({ ...request, inputs });
    await provider.kill();
    return answer;
  };
  return {
    gate,
    violations,
    look: (moment) => one.look(moment),
    close: () => one.close(),
    async run(options = {}) {
      const answer = await start(options);
      one.lookAt(answer);
      const { outs, told, rss = 0 } = answer;
      return { ok: outs !== undefined, told, megabytes: rss / 1024 };
    },
    async end() {
      gate.reset();
      one.watch();
      await one.lookAtEnd(await start({}));
      await one.close();
      return violations;
    },
  };
}

async function openRotation(world = lab, vaultAddress?: string, host?: string): Promise<Program> {
  const one = await openTokenCase(world, older);
  const { gate, violations, account } = one;
  one.watch();
  if (host !== undefined) {
    const record = await world.read(`${account.name}/password`);
    await world.write(`${account.name}/password`, { ...record?.data, host });
  }
  const env = { ...one.env, VAULT_ADDR: vaultAddress ?? gate.vaultUrl };
  return {
    gate,
    violations,
    look: (moment) => one.look(moment),
    close: () => one.close(),
    async run(options = {}) {
      const job = startRotation({ ...options, env: { ...env, ...options.env } }, world.dir);
      const memory = watchMemory(job.pid);
      const rotation = await job.ended;
      one.lookAt(rotation);
      const { code, out, err } = rotation;
      return { ok: code === 0, told: out + err, megabytes: memory() };
    },
    async end() {
      gate.reset();
      one.watch();
      await one.lookAtEnd(await startRotation({ env }, world.dir).ended);
      await one.close();
      return violations;
    },
  };
}

/** Follows the peak of a process's memory while it runs. */
function watchMemory(pid: number): () => number {
  let kilobytes = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      kilobytes = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? kilobytes);
    } catch {
      clearInterval(timer);
    }
  }, 10);
  return () => {
    clearInterval(timer);
    return kilobytes / 1024;
  };
}

describe.each(programs)("%s", (_, open) => {
  /** Calls to Vault in both programs: the first read, and the write that counts. */
  const moments: [string, (call: Call) => boolean][] = [
    ["a read", ({ side, method }) => side === "vault" && method === "GET"],
    ["a write", ({ path, method }) => path.includes("/data/") && method === "POST"],
  ];

  describe.each(moments)("OpenBao, just before %s,", (_moment, isIt) => {
    /** Lets `event` happen before the first such call of a run; other calls to Vault wait for its end. */
    function before(gate: Gate, event: () => Promise<void>): void {
      const pass = gate.before;
      let happening: Promise<void> | undefined;
      gate.before = async (call) => {
        if (isIt(call)) happening ??= event();
        if (call.side === "vault") await happening;
        return pass(call);
      };
    }

    test("is sealed and stays so: a clear failure, and a later run goes on", async () => {
      const program = await open();
      before(program.gate, () => lab.vault.seal());
      const { ok, told } = await program.run({ hurried: true });
      await lab.vault.unseal();
      await program.look("after the run");
      expect(ok).toBe(false);
      expect(told).toContain("is sealed (503)");
      expect(await program.end()).toEqual([]);
    });

    test("is sealed for a moment: the run goes on by itself", async () => {
      const program = await open();
      const { gate } = program;
      const { before: pass, after } = gate;
      let sealing: Promise<void> | undefined;
      let unsealing: Promise<void> | undefined;
      gate.before = async (call) => {
        if (isIt(call)) sealing ??= lab.vault.seal();
        if (call.side === "vault") await (unsealing ?? sealing);
        return pass(call);
      };
      gate.after = async (call, answer) => {
        // This 503 goes out; the next try waits until OpenBao is there again.
        if (answer.status === 503) unsealing ??= lab.vault.unseal();
        await after(call, answer);
      };
      expect(await program.run()).toMatchObject({ ok: true });
      expect(unsealing).toBeDefined();
      expect(await program.end()).toEqual([]);
    });

    test("loses its power and comes back", async () => {
      const program = await open();
      before(program.gate, async () => {
        await lab.vault.kill();
        await lab.vault.restart();
      });
      expect(await program.run()).toMatchObject({ ok: true });
      expect(await program.end()).toEqual([]);
    });
  });

  test("OpenBao loses its power after a write and before its answer", async () => {
    const program = await open();
    const { after } = program.gate;
    let happened = false;
    program.gate.after = async (call, answer) => {
      await after(call, answer);
      if (happened || !moments[1]?.[1](call)) return;
      happened = true;
      await lab.vault.kill();
      await lab.vault.restart();
    };
    await program.run();
    expect(await program.end()).toEqual([]);
  });

  const isLogin = ({ side, path }: Call) => side === "apisec" && path === "/login";
  const isOfToken = (call: Call) => call.side === "apisec" && !isLogin(call);

  test.each<[string, (call: Call) => boolean, string]>([
    ["Vault", ({ side }) => side === "vault", "2"],
    ["APIsec", isOfToken, "2"],
    ["APIsec (a date)", isOfToken, "date"],
  ])("429 of %s: Retry-After is waited for", async (_side, isIt, given) => {
    const program = await open();
    const times: number[] = [];
    let asked: Call | undefined;
    program.gate.before = async (call) => {
      asked ??= isIt(call) ? call : undefined;
      if (call.path !== asked?.path) return "pass";
      times.push(Date.now());
      // A date has no fractions: three seconds are more than two.
      const header = given === "date" ? new Date(Date.now() + 3000).toUTCString() : given;
      const action = { status: 429, body: "slow down", headers: { "retry-after": header } };
      return times.length === 1 ? { action } : "pass";
    };
    expect(await program.run()).toMatchObject({ ok: true });
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1990);
    expect(await program.end()).toEqual([]);
  });

  test("429 of APIsec's login: it is not sent again, since each one counts there", async () => {
    const program = await open();
    let logins = 0;
    program.gate.before = async (call) => {
      if (!isLogin(call)) return "pass";
      logins += 1;
      return { action: { status: 429, body: "slow down", headers: { "retry-after": "1" } } };
    };
    const { ok, told } = await program.run({ hurried: true });
    expect({ ok, logins }).toEqual({ ok: false, logins: 1 });
    expect(told).toContain("HTTP 429 without the expected content");
    expect(await program.end()).toEqual([]);
  });

  test.each<[string, string | undefined, string | undefined]>([
    ["Vault", "https://vault.invalid", undefined],
    ["APIsec", undefined, "https://apisec.invalid"],
  ])("the name of %s cannot be resolved: said so", async (_side, vaultAddress, host) => {
    const program = await open(lab, vaultAddress, host);
    const { ok, told } = await program.run({ hurried: true });
    expect(ok).toBe(false);
    expect(told).toContain(`${vaultAddress ?? host} has a host name that cannot be resolved`);
    await program.close();
  });

  test.each<[string, (call: Call) => boolean]>([
    ["Vault", ({ side }) => side === "vault"],
    ["APIsec", ({ side }) => side === "apisec"],
  ])("300 MB from %s do not fill the memory", async (_side, isIt) => {
    const program = await open();
    program.gate.before = async (call) =>
      isIt(call) ? { action: { hugeBytes: 300 * 1024 * 1024 } } : "pass";
    const { ok, told, megabytes } = await program.run({ hurried: true });
    expect(ok).toBe(false);
    expect(told).toContain("sent more than the accepted number of bytes");
    expect(megabytes).toBeGreaterThan(20);
    expect(megabytes).toBeLessThan(150);
    expect(await program.end()).toEqual([]);
  });

  test("redirects are not followed: the other server hears nothing", async () => {
    const heard: string[] = [];
    const other = http.createServer((request, response) => {
      heard.push(`${request.method} ${request.url}`);
      response.end("{}");
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/stolen`;
    const undisturbed = await open();
    await undisturbed.run();
    const calls = undisturbed.gate.calls.map((call) => ({ n: call.n, title: titleOf(call) }));
    expect(await undisturbed.end()).toEqual([]);
    for (const [index, { n }] of sampled([...calls.entries()])) {
      const program = await open();
      const { before } = program.gate;
      const status = [301, 302, 303, 307, 308][index % 5] ?? 307;
      const fault: FaultInput = { action: { status, headers: { location } } };
      program.gate.before = async (call) => (call.n === n ? fault : before(call));
      await program.run({ hurried: true });
      expect(await program.end()).toEqual([]);
    }
    expect(heard).toEqual([]);
    await new Promise((resolve) => other.close(resolve));
  });
});

describe("OpenBao with a private certificate authority", () => {
  let secure: FaultLab;

  beforeAll(async () => {
    secure = await startFaultLab({ tls: true });
  });

  afterAll(() => secure?.stop());

  describe.each(programs)("%s", (_, open) => {
    test("works with it", async () => {
      const program = await open(secure, secure.vault.address);
      const env = { VAULT_CACERT: secure.vault.caFile ?? "" };
      expect(await program.run({ env })).toMatchObject({ ok: true });
      await program.close();
    });

    test.each<[string, Record<string, string>]>([
      ["with another", { VAULT_CACERT: otherCa }],
      ["with none", {}],
      ["with checks switched off", { NODE_TLS_REJECT_UNAUTHORIZED: "0", VAULT_CACERT: otherCa }],
    ])("refuses it %s, and says so", async (_title, env) => {
      const program = await open(secure, secure.vault.address);
      const { ok, told } = await program.run({ env, hurried: true });
      expect(ok).toBe(false);
      expect(told).toMatch(
        /has a certificate that is not trusted here|NODE_TLS_REJECT_UNAUTHORIZED/,
      );
      expect(program.gate.calls).toEqual([]);
      await program.close();
    });
  });
});

describe("plain http to another machine is refused by the job", () => {
  test("Vault: settings error, nothing tried", async () => {
    const program = await openRotation(lab, "http://192.0.2.1:8200");
    const { ok, told } = await program.run();
    expect(ok).toBe(false);
    expect(told).toContain("VAULT_ADDR: found");
    expect(told).toContain("is not https (plain http is accepted on this machine only)");
    await program.close();
  });

  test("APIsec, in the record: the account fails, nothing sent", async () => {
    const program = await openRotation(lab, undefined, "http://192.0.2.1");
    const { ok, told } = await program.run();
    expect(ok).toBe(false);
    expect(told).toContain("is not https");
    expect(program.gate.calls.filter(({ side }) => side === "apisec")).toEqual([]);
    await program.close();
  });
});
