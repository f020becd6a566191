import { existsSync, readFileSync } from "node:fs";
import net from "node:net";
import { freePort, isFree } from "../../lab/process";

const worker = process.env["JEST_WORKER_ID"];
const file = "/proc/sys/net/ipv4/ip_local_port_range";
const range = existsSync(file) ? readFileSync(file, "utf8").trim().split(/\s+/).map(Number) : [];
const [first = 49_152, last = 65_535] = range;
/** Where the kernel gives nearly every port to connections, nothing can be promised. */
const inRoom = first > 20_000 || last < 61_000 ? test : test.skip;

afterEach(() => {
  process.env["JEST_WORKER_ID"] = worker;
  delete process.env["LAB_STREAM"];
});

async function ports(count: number): Promise<number[]> {
  const given: number[] = [];
  while (given.length < count) given.push(await freePort());
  return given;
}

inRoom("no port is given twice, and a port with a listener is not free", async () => {
  const given = await ports(200);
  expect(new Set(given).size).toBe(200);

  const server = net.createServer().listen(given[0], "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  expect(await isFree(given[0]!)).toBeUndefined();
  server.close();
});

// What a connection got would not be free when a server is started again.
inRoom("no port is one that the kernel gives away", async () => {
  for (const port of await ports(50)) expect(port < first || port > last).toBe(true);
});

inRoom("workers and streams that run beside each other have different ports", async () => {
  const of: number[][] = [];
  for (const [stream, id] of [
    ["0", "1"],
    ["0", "2"],
    ["1", "1"],
  ] as const) {
    process.env["LAB_STREAM"] = stream;
    process.env["JEST_WORKER_ID"] = id;
    of.push(await ports(100));
  }
  const spans = of
    .map((given) => [Math.min(...given), Math.max(...given)] as const)
    .sort((a, b) => a[0] - b[0]);
  expect(spans[0]![1]).toBeLessThan(spans[1]![0]);
  expect(spans[1]![1]).toBeLessThan(spans[2]![0]);
});
