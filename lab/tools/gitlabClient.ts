import * as fs from "node:fs";
import * as path from "node:path";

import { run } from "../process";
import { cached, pinKey } from "./cache";
import { contextOf, lastLine, project } from "./context";
import type { ToolOptions } from "./context";

/** Of gitlab.com/gitlab-org/api/client-go, as tools/gitlab-client/go.mod pins it. */
const version = "1.46.0";
const sources = path.join(project, "tools/gitlab-client");

/**
 * Builds tools/gitlab-client, the official Go client behind a pipe, or takes it from the user's cache directory.
 * @returns the program's file; undefined where there is no Go.
 * @throws an Error that names the log to read.
 */
export async function ensureGitlabClient(options: ToolOptions = {}): Promise<string | undefined> {
  const context = contextOf(options);
  // Without cgo no C compiler is needed; a go.work further up must not change the pins.
  const env = { ...context.env, CGO_ENABLED: "0", GOWORK: "off" };
  if ((await run("go", ["version"], { env })).code === 127) return undefined;
  const pins = ["go.mod", "go.sum", "main.go"].map((name) =>
    fs.readFileSync(path.join(sources, name)),
  );
  const { detail } = await cached(
    context,
    "gitlab-client",
    pinKey(version, pins),
    "registry",
    "building, one to two minutes where nothing of it is cached",
    async (into, logFile) => {
      const args = ["build", "-v", "-mod=readonly", "-trimpath", "-ldflags", "-s -w"];
      const out = path.join(into, "gitlab-client");
      const built = await run("go", [...args, "-o", out, "."], { cwd: sources, env, logFile });
      if (built.code !== 0) throw new Error(`go build failed (${lastLine(built.stderr)})`);
    },
  );
  return detail;
}
