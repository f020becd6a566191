import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { platform, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { baoRequest, startOpenBao } from "../../lab/openbao";
import type { BaoAnswer, OpenBao } from "../../lab/openbao";
import { waitFor } from "../../lab/process";
import { ensureTools } from "../../lab/tools";

/** Three OpenBao nodes with raft storage, on loopback. */
export interface Cluster {
  nodes: OpenBao[];
  rootToken: string;
  /** The node that says that it leads, asked of each; waits until one does. */
  leader(): Promise<OpenBao>;
  standby(): Promise<OpenBao>;
  /** Ends the leader as a power cut would; it comes back by `restart`. */
  killLeader(): Promise<OpenBao>;
  stepDown(): Promise<void>;
  /** Kills two nodes and leaves a standby; `back` ends when they are up again, `ms` later. */
  withoutQuorum(ms: number): Promise<{ back: Promise<void> }>;
  asRoot(method: string, path: string, body?: object): Promise<BaoAnswer>;
  stop(): Promise<void>;
}

/** An address that most likely nobody else has, so that a node finds its ports free after an outage. Only Linux has them all. */
function ownLoopback(): string {
  const part = () => randomInt(1, 255);
  return platform() === "linux" ? `127.${part()}.${part()}.${part()}` : "127.0.0.1";
}

export async function startCluster(): Promise<Cluster> {
  const { vault: bao } = await ensureTools({ log: () => undefined });
  const dir = mkdtempSync(join(tmpdir(), "apisec-cluster-"));
  const listen = ownLoopback();
  const first = await startOpenBao({
    dir: join(dir, "n1"),
    bao,
    listen,
    cluster: { node: "n1", join: [] },
  });
  const { rootToken, unsealKeys } = first;
  const keys = { rootToken, unsealKeys };
  const others = await Promise.all(
    ["n2", "n3"].map((node) => {
      const cluster = { node, join: [first.address], keys };
      return startOpenBao({ dir: join(dir, node), bao, listen, cluster });
    }),
  );
  const nodes = [first, ...others];

  async function roleOf({ address }: OpenBao): Promise<"leader" | "standby" | "none"> {
    try {
      const { body } = await baoRequest(address, rootToken, "GET", "sys/leader");
      const { is_self, leader_address } = body as { is_self: boolean; leader_address: string };
      if (is_self) return "leader";
      return leader_address === "" ? "none" : "standby";
    } catch {
      return "none";
    }
  }

  const find = (role: "leader" | "standby") =>
    waitFor(`a ${role}`, 60_000, async () => {
      for (const node of nodes) if ((await roleOf(node)) === role) return node;
      return undefined;
    });
  const leader = () => find("leader");
  const asRoot: Cluster["asRoot"] = async (method, path, body) =>
    (await leader()).request(rootToken, method, path, body);

  await waitFor("three voters", 60_000, async () => {
    const { body } = await asRoot("GET", "sys/storage/raft/configuration");
    const { servers = [] } =
      (body as { data?: { config?: { servers?: { voter: boolean }[] } } }).data?.config ?? {};
    return servers.filter(({ voter }) => voter).length === 3 ? true : undefined;
  });
  return {
    nodes,
    rootToken,
    leader,
    standby: () => find("standby"),
    async killLeader() {
      const node = await leader();
      await node.kill();
      return node;
    },
    async stepDown() {
      await asRoot("PUT", "sys/step-down");
    },
    async withoutQuorum(ms) {
      // One standby is left: the one that a client knows.
      const left = await find("standby");
      const others = nodes.filter((node) => node !== left);
      await Promise.all(others.map((node) => node.kill()));
      const back = sleep(ms).then(async () => {
        await Promise.all(others.map((node) => node.restart()));
      });
      return { back };
    },
    asRoot,
    async stop() {
      await Promise.all(nodes.map((node) => node.kill()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
