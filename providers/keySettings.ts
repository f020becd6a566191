import * as pulumi from "@pulumi/pulumi";
import { code } from "./code";
import type { KeySettingsInputs, KeySettingsState } from "./keySettingsMethods";

const load = code;

/** The dynamic provider: functions only. It has no `delete`: keys keep their settings as they keep their values. */
const keySettingsProvider: pulumi.dynamic.ResourceProvider<KeySettingsInputs, KeySettingsState> = {
  diff: (id, olds, news) => load().keySettingsMethods.diff(id, olds, news),
  create: (inputs) => load().keySettingsMethods.create(inputs),
  update: (id, olds, news) => load().keySettingsMethods.update(id, olds, news),
  read: (id, stored) => load().keySettingsMethods.read(id, stored as KeySettingsState),
};

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
