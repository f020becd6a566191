import { startFaultyServer } from "../../lab/faultyServer";
import type { Incoming } from "../../lab/faultyServer";
import type { OpenBao } from "../../lab/openbao";
import type { Cluster } from "./cluster";
import { forward } from "./proxy";

/** An address that stays the same while the nodes behind it change their roles. */
export interface StandbyFront {
  /** What a lab needs of its Vault; requests behind the program's back go to the leader. */
  vault: OpenBao;
  /** From now on requests go to this node. */
  aim(node: OpenBao): void;
  /** Runs `fault` before the next request whose method and path match, once; and says whether it has. */
  strikeAt(moment: RegExp, fault: () => Promise<void>): { hasStruck: () => boolean };
}

/** An address in front of one node of a cluster, a standby first. */
export async function startStandbyFront(cluster: Cluster): Promise<StandbyFront> {
  let target = await cluster.standby();
  let armed: { moment: RegExp; fault: () => Promise<void> } | undefined;
  const server = await startFaultyServer({
    async onRequest({ method, path }: Incoming) {
      if (armed?.moment.test(`${method} ${path}`)) {
        const { fault } = armed;
        armed = undefined;
        await fault();
      }
      return "pass";
    },
    handle: (request) => forward(target.address, undefined, request),
  });
  return {
    vault: {
      ...target,
      address: server.url,
      request: (_token, method, path, body) => cluster.asRoot(method, path, body as object),
      stop: () => server.close(),
    },
    aim: (node) => (target = node),
    strikeAt(moment, fault) {
      let struck = false;
      armed = {
        moment,
        async fault() {
          struck = true;
          await fault();
        },
      };
      return { hasStruck: () => struck };
    },
  };
}
