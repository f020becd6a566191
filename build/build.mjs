// Bundles the rotation job into dist/rotate.mjs and the scan into dist/scan.mjs: files for any machine with node;
// and the dynamic providers' code into dist/passwordProvider.cjs, which the engine's provider process loads.
import { build } from "esbuild";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";

const { name, version, license } = JSON.parse(await readFile("package.json", "utf8"));

/** The head of a file that runs on any machine with node and is read by people. */
const banner = (what, entry) => `#!/usr/bin/env node
// ${name} ${version}: ${what}
// Needs node alone: no third-party code is in here. License: ${license}.
// Built from ${entry} by "npm run build": change that instead.
`;

// esbuild drops comments, but not those marked as legal texts: so the docstrings stay for the reader. What it leaves out
// as not needed leaves its docstring behind: each says whose it is.
const keepDocstrings = {
  name: "keep-docstrings",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const marked = source.replace(
        /^\/\*\*(?=(?:(?!\*\/).)*\*\/\n(?:export )?(?:async )?(?:function|const) (\w+))/gms,
        "/*!$1:",
      );
      return { contents: marked, loader: "ts" };
    });
  },
};

/** Whether a line declares this name, to which esbuild may have added a number. */
function isOf(name, line) {
  return new RegExp(`^(async function|function|var|const) ${name}\\d*\\b`).test(line);
}

/** A file that is there whole or not at all: others may be reading the one before. */
async function put(path, text) {
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}

/** One file of our own code, its docstrings kept. */
async function bundle(entry, file, what) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    write: false,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    charset: "utf8",
    legalComments: "inline",
    banner: { js: banner(what, entry) },
    plugins: [keepDocstrings],
  });
  const text = outputFiles[0].text
    .replaceAll(/^\/\*!(\w+):(.*?\*\/\n)(?=([^\n]*))/gms, (_, of, docstring, next) =>
      isOf(of, next) ? `/**${docstring}` : "",
    )
    .replaceAll("/* @__PURE__ */ ", "")
    // People read it with the indentation that they like; the file is smaller.
    .replaceAll(/^(?: {2})+/gm, (indent) => "\t".repeat(indent.length / 2));
  await put(file, text);
}

await mkdir("dist", { recursive: true });
await bundle(
  "job/main.ts",
  "dist/rotate.mjs",
  "the rotation job: buys each account an access token from APIsec and stores it in Vault.",
);
await bundle(
  "scan/main.ts",
  "dist/scan.mjs",
  "a consumer's job: reads a token from Vault, has APIsec scan an API, fails for what it finds.",
);

const provider = await build({
  entryPoints: ["providers/bundle.ts"],
  write: false,
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node20.19",
  external: ["axios"],
});
await put("dist/passwordProvider.cjs", provider.outputFiles[0].text);
