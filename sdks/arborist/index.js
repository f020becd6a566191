"use strict";

class Arborist {
  constructor() {
    throw new Error(
      "this program is installed without npm's library @npmcli/arborist, which a function given to a cloud provider " +
        "as code (pulumi.runtime.computeCodePaths) needs: sdks/arborist/README.md says how to install it",
    );
  }
}

module.exports = { Arborist };
