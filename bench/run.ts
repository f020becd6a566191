import { delimiter, join } from "node:path";
import { findExecutable, run } from "../lab/process";
import { ensureTools } from "../lab/tools";
import { benchGrowth } from "./growth";
import { benchPulumi } from "./pulumi";
import { peerPython } from "./python";
import { load, parts, save, screenTable, verdict } from "./report";
import { benchRotation } from "./rotate";
import { startBenchWorld } from "./world";
import type { Part, Row } from "./report";

/** `make bench`: all parts, or the one that BENCH names. */
async function main(): Promise<void> {
  const wanted = process.env["BENCH"];
  const chosen = parts.filter((part) => !wanted || part === wanted);
  if (chosen.length === 0) throw new Error(`BENCH is "${wanted}": expected ${parts.join(", ")}`);
  const started = Date.now();
  await run(process.execPath, ["build/build.mjs"], { cwd: join(__dirname, "..") });
  const tools = await ensureTools();
  const bao = findExecutable("bao", [...tools.path, process.env["PATH"]].join(delimiter));
  if (bao === undefined) throw new Error("no bao: see `make up`");
  const all: Row[] = [];
  for (const part of chosen) {
    const before = load();
    if (before > 1) {
      console.log(`-- ${part}: the machine is busy (load ${before.toFixed(1)}): ratios suffer`);
    }
    console.log(`-- ${part} …`);
    const keep = (found: Row[]) => save(part, found, before);
    const rows = await measured(part, bao, keep);
    keep(rows);
    all.push(...rows);
  }
  console.log(`\n${screenTable(all)}\n`);
  const count = (word: string) => all.filter((row) => verdict(row) === word).length;
  const minutes = ((Date.now() - started) / 60_000).toFixed(1);
  console.log(
    `${count("met")} met, ${count("missed")} missed, ${count("not measured")} not measured, in ${minutes} min; ` +
      "bench/results.json, docs/performance.md",
  );
}

async function measured(part: Part, bao: string, keep: (rows: Row[]) => void): Promise<Row[]> {
  if (part === "pulumi") return benchPulumi(keep);
  const world = await startBenchWorld(bao);
  try {
    if (part === "growth") return await benchGrowth(world);
    return await benchRotation(world, await peerPython().catch((error: Error) => error));
  } finally {
    await world.stop();
  }
}

// The servers end with this process, but only where it ends by itself.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

main().then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
