import { bridged } from "../bridged";
import { text, type Props } from "../resource";
import type { Tries } from "../http";
import { call, readData, saying, VaultError } from "./connection";

const pathOf = (id: unknown): string => `identity/group/id/${text(id)}`;

/** A group that was just made may not be there yet on every server: over a minute in all. */
const untilThere: Tries = {
  tries: 11,
  again: (status) => status === 404 || status >= 500,
  waitMs: (attempt) => Math.min(1_000 * 1.5 ** attempt, 12_000),
};

async function groupOf(id: unknown, properties: Props, tries?: Tries): Promise<Props | undefined> {
  return readData(pathOf(id), properties, tries).catch((error: unknown) => {
    if (error instanceof VaultError) throw new Error(`failed reading "/${pathOf(id)}"`);
    throw error;
  });
}

let lastChange: Promise<unknown> = Promise.resolve();

/** Takes these policies away from the group and gives it those; one group at a time, as it is read first. */
function change(properties: Props, gone: unknown, wanted: unknown, tries?: Tries): Promise<void> {
  const [without, added] = [gone, wanted].map((list) => (list ?? []) as string[]);
  const id = properties.groupId;
  const others = async () => {
    const found = await groupOf(id, properties, tries);
    if (!found) throw new Error(`entity not found: "/${pathOf(id)}"`);
    return ((found.policies ?? []) as string[]).filter((one) => !without?.includes(one));
  };
  const write = async () => {
    const kept = properties.exclusive ? [] : await others();
    const policies = [...new Set([...kept, ...(added ?? [])])];
    await call("PUT", pathOf(id), properties, { policies }).catch(
      saying(`error updating IdentityGroupPolicies "${text(id)}": `),
    );
  };
  const result = lastChange.then(write);
  lastChange = result.catch(() => undefined);
  return result;
}

export const groupPolicies = bridged({
  fields: {
    groupId: { required: true },
    policies: { required: true, kind: "set" },
    exclusive: { default: true },
    groupName: { output: true },
    namespace: { replace: true },
  },
  async create(planned) {
    await change(planned, [], planned.policies, untilThere);
    return text(planned.groupId);
  },
  async read(_, state) {
    // By the id alone it finds nothing: it cannot be imported.
    if (state.groupId === undefined) return undefined;
    const found = await groupOf(state.groupId, state);
    if (!found) return undefined;
    const all = (found.policies ?? []) as string[];
    const own = (state.policies ?? []) as string[];
    return {
      groupId: state.groupId,
      groupName: found.name,
      policies: state.exclusive ? all : own.filter((policy) => all.includes(policy)),
    };
  },
  /** Another group gets them in place: the old one keeps what it has. */
  async update(_, planned, was) {
    await change(planned, was.policies, planned.policies);
    return text(planned.groupId);
  },
  async delete(_, state) {
    await change(state, state.policies, []);
  },
});
