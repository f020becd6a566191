// A Pulumi program with COUNT dynamic resources that do nothing, and one resource of each plugin that ours needs.
const gitlab = require("@pulumi/gitlab");
const pulumi = require("@pulumi/pulumi");
const vault = require("@pulumi/vault");

const provider = { create: async () => ({ id: "nothing", outs: {} }) };

class Nothing extends pulumi.dynamic.Resource {
  constructor(name) {
    super(provider, name, {});
  }
}

new vault.Policy("policy", { name: process.env.POLICY, policy: "# none" });
new gitlab.ProjectVariable("variable", {
  project: process.env.GITLAB_PROJECT,
  key: "NOTHING",
  value: "nothing",
});
for (let number = 1; number <= Number(process.env.COUNT); number += 1) {
  new Nothing(`nothing-${number}`);
}
