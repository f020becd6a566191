import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

export type PluginName = "vault" | "gitlab" | "command";

/**
 * Bundles stand-ins of plugins into `outDir` and puts the launchers `pulumi-resource-NAME` beside
 * them, where Pulumi finds them once the folder is on PATH. What is up to date is left alone.
 */
export async function buildStandIns(names: PluginName[], outDir: string): Promise<void> {
  mkdirSync(outDir, { recursive: true });
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
        replaceFile(bundle, `${version}\n${outputFiles[0]?.text ?? ""}`, 0o644);
      }
      replaceFile(join(outDir, `pulumi-resource-${name}`), launcher(name, bundle), 0o755);
    }),
  );
}

function launcher(name: PluginName, bundle: string): string {
  // Node takes further certificates only at its start, and from a variable of its own. A command
  // must not inherit it.
  const certificate = `[ -z "$VAULT_CACERT" ] || export NODE_EXTRA_CA_CERTS="$VAULT_CACERT"\n`;
  return `#!/bin/sh\n${name === "vault" ? certificate : ""}exec node "${bundle}" "$@"\n`;
}

/** Whoever reads the file meanwhile sees the old one or the new one, never half of it. */
function replaceFile(path: string, content: string, mode: number): void {
  const next = `${path}.${process.pid}`;
  writeFileSync(next, content, { mode });
  renameSync(next, path);
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
  for (const file of readdirSync(__dirname).sort()) {
    hash.update(readFileSync(join(__dirname, file)));
  }
  hash.update(readFileSync(require.resolve("@pulumi/pulumi/package.json")));
  return hash.digest("hex");
}
