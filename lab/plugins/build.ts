import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { writeWhole } from "../../cli/wholeFile";

export type PluginName = "vault" | "gitlab" | "command";

/**
 * Bundles stand-ins of plugins into `outDir` and puts the launchers `pulumi-resource-NAME` beside
 * them, where Pulumi finds them once the folder is on PATH. What is up to date is left alone; launchers of
 * plugins that are not named go, since Pulumi would find them before the official ones.
 */
export async function buildStandIns(names: PluginName[], outDir: string): Promise<void> {
  mkdirSync(outDir, { recursive: true });
  for (const file of readdirSync(outDir)) {
    const [, name] = /^pulumi-resource-(\w+)$/.exec(file) ?? [];
    if (name !== undefined && !names.some((wanted) => wanted === name)) rmSync(join(outDir, file));
  }
  const version = `// ${sourceHash()}`;
  await Promise.all(
    names.map(async (name) => {
      const bundle = join(outDir, `${name}.cjs`);
      if (startOf(bundle) !== version) {
        const { outputFiles } = await build({
          entryPoints: [join(__dirname, `${name}.ts`)],
          bundle: true,
          write: false,
          platform: "node",
          target: "node20",
          minify: true,
          legalComments: "none",
        });
        writeWhole(bundle, `${version}\n${outputFiles[0]?.text ?? ""}`);
      }
      const launcher = `#!/bin/sh\nexec node "${bundle}" "$@"\n`;
      writeWhole(join(outDir, `pulumi-resource-${name}`), launcher, 0o755);
    }),
  );
}

function startOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").split("\n", 1)[0];
  } catch {
    return undefined;
  }
}

function sourceHash(): string {
  const hash = createHash("sha256");
  const root = join(__dirname, "..", "..");
  for (const folder of [__dirname, ...["clients", "core", "net"].map((name) => join(root, name))]) {
    for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
      if (file.endsWith(".ts")) hash.update(readFileSync(join(folder, file)));
    }
  }
  hash.update(readFileSync(require.resolve("@pulumi/pulumi/package.json")));
  return hash.digest("hex");
}
