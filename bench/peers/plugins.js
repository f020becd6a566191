// The program of nothing.js with one resource of each plugin that ours needs.
const pulumi = require("@pulumi/pulumi");
const vault = require("@pulumi/vault");
require("./nothing");

new vault.Policy("policy", { name: process.env.POLICY, policy: "# none" });
// What GitLab's SDK registers, without the SDK.
new pulumi.CustomResource("gitlab:index/projectVariable:ProjectVariable", "variable", {
  project: process.env.GITLAB_PROJECT,
  key: "NOTHING",
  value: "nothing",
});
