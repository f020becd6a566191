// Builds what programs that depend on this package import, into dist/lib: JavaScript, as nothing compiles
// the TypeScript of a dependency, and declarations. The local GitLab package, while there is one, is built in.
import { build } from "esbuild";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import ts from "typescript";

const { exports } = JSON.parse(await readFile("package.json", "utf8"));

/** The sources behind package.json's `exports`, and the commands that its `bin` loads. */
const sources = [...Object.values(exports), { default: "./dist/lib/cli/*.js" }].flatMap((entry) => {
  const path = entry.default?.replace("./dist/lib/", "").replace(/js$/, "ts");
  if (path === undefined) return [];
  return path.includes("*")
    ? ts.sys.readDirectory(dirname(path), [".ts"]).map((file) => relative(".", file))
    : [path];
});

const out = await mkdtemp("dist/.lib-");
try {
  await build({
    entryPoints: sources,
    outdir: out,
    outbase: ".",
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node20.19",
    packages: "external",
    alias: existsSync("sdks/gitlab") ? { "@pulumi/gitlab": resolve("sdks/gitlab") } : {},
  });
  const { config } = ts.readConfigFile("tsconfig.json", ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ".");
  const program = ts.createProgram(sources, {
    ...options,
    ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: out, rootDir: "." },
  });
  const { diagnostics } = program.emit();
  if (diagnostics.length > 0)
    throw new Error(
      ts.formatDiagnostics(diagnostics, {
        getCanonicalFileName: (f) => f,
        getCurrentDirectory: () => ".",
        getNewLine: () => "\n",
      }),
    );
  await rm("dist/lib", { recursive: true, force: true });
  await rename(out, "dist/lib");
} finally {
  await rm(out, { recursive: true, force: true });
}
