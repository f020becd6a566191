import net from "node:net";
import { freePort, isFree, ownPart, portsOf } from "../../lab/process";

const worker = process.env["JEST_WORKER_ID"];

afterEach(() => {
  process.env["JEST_WORKER_ID"] = worker;
  delete process.env["LAB_STREAM"];
});

async function ports(count: number): Promise<number[]> {
  const given: number[] = [];
  while (given.length < count) given.push(await freePort());
  return given;
}

test("no port is given twice, and a port with a listener is not free", async () => {
  const given = await ports(200);
  expect(new Set(given).size).toBe(200);

  const server = net.createServer().listen(given[0], "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  expect(await isFree(given[0]!)).toBeUndefined();
  server.close();
});

test("workers and streams that run beside each other have parts of their own, and ports of them", async () => {
  const parts = new Set<number>();
  for (const [stream, id] of [
    ["0", "1"],
    ["0", "2"],
    ["1", "1"],
  ] as const) {
    process.env["LAB_STREAM"] = stream;
    process.env["JEST_WORKER_ID"] = id;
    parts.add(ownPart());
    const { from, to } = portsOf(ownPart());
    for (const port of await ports(50)) expect(port >= from && port < to).toBe(true);
  }
  expect(parts.size).toBe(3);
});

// What a connection got would not be free when a server is started again.
test.each([
  [32_768, 60_999],
  [49_152, 65_535],
  [16_000, 45_000],
])("with connections from %d to %d, no part has one of their ports or another's", (first, last) => {
  let end = 0;
  for (let part = 0; part < 8; part += 1) {
    const { from, to } = portsOf(part, { first, last });
    expect(from).toBeGreaterThanOrEqual(end);
    expect(to - from).toBeGreaterThan(500);
    expect(to <= first || from > last).toBe(true);
    expect(from).toBeGreaterThan(1_024);
    expect(to).toBeLessThanOrEqual(65_536);
    end = to;
  }
});

test("where the kernel may give any port, every part has them all", () => {
  for (const part of [0, 7]) {
    const { from, to } = portsOf(part, { first: 1_024, last: 65_535 });
    expect([from, to]).toEqual([10_000, 60_000]);
  }
});
