import * as pulumi from "@pulumi/pulumi";
import type { KeySettingsInputs } from "./keySettingsMethods";
import { loadedProvider } from "./loaded";

/** The dynamic provider: see keySettingsMethods.ts. It has no `delete`: keys keep their settings as they keep their values. */
const keySettingsProvider = loadedProvider("keySettingsMethods");

/**
 * The settings of all keys of a stack's accounts. One resource for all of them: the engine writes its
 * state several times a resource, so that a resource a key made `up` of many accounts twice as slow.
 */
export class KeySettings extends pulumi.dynamic.Resource {
  /**
   * @param name Resource name.
   * @param inputs See `KeySettingsInputs`.
   * @param opts `dependsOn` the mount.
   */
  constructor(name: string, inputs: KeySettingsInputs, opts: pulumi.CustomResourceOptions) {
    super(
      keySettingsProvider,
      name,
      { ...inputs, differing: undefined },
      opts,
      "apisec",
      "KeySettings",
    );
  }
}
