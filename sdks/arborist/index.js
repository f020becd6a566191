"use strict";

class Arborist {
  constructor() {
    throw new Error(
      "@npmcli/arborist is not installed; `pulumi.runtime.computeCodePaths` needs it. See sdks/arborist/README.md.",
    );
  }
}

module.exports = { Arborist };
