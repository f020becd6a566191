// Bundles the rotation job into dist/rotate.mjs: one file for any machine with node, to be read by people;
// and the dynamic providers' code into dist/passwordProvider.cjs, which the engine's provider process loads.
import { build } from "esbuild";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";

const { name, version, license } = JSON.parse(await readFile("package.json", "utf8"));

const banner = `#!/usr/bin/env node
// ${name} ${version}: the rotation job. License: ${license}.
// For each account: reads its password from Vault, buys an access token from APIsec, checks and tries
// it, and stores it in Vault. Settings come from the environment alone. Nothing but node is needed, and
// no third-party code is in here. Built from job/main.ts by "npm run build": change that instead.
`;

// esbuild drops comments, but not those marked as legal texts: so the docstrings stay for the reader.
const keepDocstrings = {
  name: "keep-docstrings",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const marked = source.replace(
        /^\/\*\*(?=(?:(?!\*\/).)*\*\/\n(?:export )?(?:async )?(?:function|const) )/gms,
        "/*!",
      );
      return { contents: marked, loader: "ts" };
    });
  },
};

/** A file that is there whole or not at all: others may be reading the one before. */
async function put(path, text) {
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}

const rotate = await build({
  entryPoints: ["job/main.ts"],
  write: false,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  charset: "utf8",
  legalComments: "inline",
  banner: { js: banner },
  plugins: [keepDocstrings],
});

await mkdir("dist", { recursive: true });
await put("dist/rotate.mjs", rotate.outputFiles[0].text.replaceAll(/^\/\*!/gm, "/**"));

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
