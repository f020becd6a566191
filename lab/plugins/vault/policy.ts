import { bridged } from "../bridged";
import { text, type Props } from "../resource";
import { call, readData, saying } from "./connection";

const pathOf = (name: string): string => `sys/policies/acl/${name}`;

const write = (planned: Props): Promise<unknown> =>
  call("PUT", pathOf(text(planned.name)), planned, { policy: planned.policy }).catch(
    saying("error writing to Vault: "),
  );

export const policy = bridged({
  fields: {
    // The official plugin makes up a name where none is given; nothing here needs that.
    name: { required: true, replace: "deleteFirst" },
    policy: { required: true },
    namespace: { replace: true },
  },
  async create(planned) {
    await write(planned);
    return text(planned.name);
  },
  async read(id, state) {
    const found = await readData(pathOf(id), state).catch(saying("error reading from Vault: "));
    // One that is not there reads as an empty one.
    return { name: id, policy: found?.policy ?? "" };
  },
  async update(_, planned) {
    await write(planned);
  },
  async delete(id, state) {
    await call("DELETE", pathOf(id), state).catch(saying("error deleting from Vault: "));
  },
});
