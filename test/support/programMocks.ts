import * as pulumi from "@pulumi/pulumi";

/** A resource as the program registered it. URNs are `<parents' types>$<type>::<name>` after the stack. */
export interface Registered {
  urn: string;
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  dependencies: string[];
  retainOnDelete: boolean;
  deleteBeforeReplace: boolean;
  importId: string;
  /** Parents that it had in states of before. */
  aliases: string[];
}

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getDependenciesList(): string[];
  getRetainondelete(): boolean;
  getDeletebeforereplace(): boolean;
  getReplaceonchangesList(): string[];
  getImportid(): string;
  getAliasesList(): { getSpec(): { getParenturn(): string } | undefined }[];
}
export interface Monitor {
  registerResource(
    request: RegisterRequest,
    callback: (error: unknown, response?: { getUrn(): string }) => void,
  ): void;
}

/** What the providers would add to a resource's inputs. */
const computed: Record<string, object> = {
  "gitlab:index/pipelineSchedule:PipelineSchedule": { pipelineScheduleId: 17, owner: 5 },
  "pulumi-nodejs:dynamic/apisec:Password": { currentGeneration: 1, recordVersion: 3 },
};

/**
 * Runs `build` as the program of stack `prod` without an engine, and gives what it registered and
 * returned. A call of a provider that is not known here fails.
 */
export async function withMocks<T>(
  build: () => T | Promise<T>,
  preview = false,
): Promise<{ resources: Registered[]; calls: pulumi.runtime.MockCallArgs[]; result: T }> {
  const calls: pulumi.runtime.MockCallArgs[] = [];
  const resources: Registered[] = [];
  const inputsOf = new Map<string, Record<string, unknown>>();
  const mocks: pulumi.runtime.Mocks = {
    newResource({ type, name, inputs }) {
      const known = inputs as Record<string, unknown>;
      inputsOf.set(`${type} ${name}`, known);
      // A provider has nothing to add in a preview.
      const state = preview ? known : { ...known, ...computed[type] };
      return { id: preview ? undefined : `${name}-id`, state };
    },
    call(args) {
      calls.push(args);
      throw new Error(`No mock for ${args.token}`);
    },
  };
  await pulumi.runtime.setMocks(mocks, "apisec-credentials", "prod", preview);
  const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    register(request, (error, response) => {
      const [type, name] = [request.getType(), request.getName()];
      if (response !== undefined) {
        resources.push({
          urn: response.getUrn(),
          type,
          name,
          inputs: inputsOf.get(`${type} ${name}`) ?? {},
          dependencies: request.getDependenciesList(),
          retainOnDelete: request.getRetainondelete(),
          deleteBeforeReplace: request.getDeletebeforereplace(),
          importId: request.getImportid(),
          aliases: request.getAliasesList().map((one) => one.getSpec()?.getParenturn() ?? ""),
        });
      }
      callback(error, response);
    });
  };
  const result = await build();
  await pulumi.runtime.disconnect();
  return { resources, calls, result };
}

/** The one resource of this type and name. */
export function resource(resources: Registered[], type: string, name: string): Registered {
  const found = resources.filter((one) => one.type === type && one.name === name);
  const [first] = found;
  if (found.length !== 1 || first === undefined) {
    throw new Error(`${found.length} resources ${type} ${name}`);
  }
  return first;
}

/** The URNs that a resource waits for, at first or second hand. */
export function neededBy(resources: Registered[], { dependencies }: Registered): Set<string> {
  const needed = new Set(dependencies);
  for (const urn of needed) {
    const direct = resources.find((one) => one.urn === urn)?.dependencies ?? [];
    for (const more of direct) needed.add(more);
  }
  return needed;
}
