import type * as pulumi from "@pulumi/pulumi";
import type * as bundle from "./bundle";

type Provider = pulumi.dynamic.ResourceProvider;

/**
 * A dynamic provider whose code is dist/passwordProvider.cjs, built from bundle.ts. The state holds the few lines
 * below of each resource, and not the code: the engine's provider process calls `configure` first, and by that the
 * provider gets all of `methods`. So a new version of the program never runs an old one's code out of the
 * state, and nothing has to survive serialisation but these lines, which import nothing. Old states hold longer
 * ones: the names of package, entry and methods must stay. Asked for from the program's folder, where the engine
 * starts the provider: that program is this package or depends on it.
 */
export function loadedProvider(methods: keyof typeof bundle): Provider {
  const provider: Pick<Required<Provider>, "configure"> = {
    configure(request) {
      const load = process.getBuiltinModule("node:module").createRequire(`${process.cwd()}/x.js`);
      const code = load("apisec-credentials/passwordProvider") as Record<
        string,
        Required<Provider>
      >;
      return Object.assign(this, code[methods]).configure(request);
    },
  };
  return provider as Provider;
}
