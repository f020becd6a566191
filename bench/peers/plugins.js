// The program of nothing.js with one resource of each plugin that ours needs.
const gitlab = require("@pulumi/gitlab");
const vault = require("@pulumi/vault");
require("./nothing");

new vault.Policy("policy", { name: process.env.POLICY, policy: "# none" });
new gitlab.ProjectVariable("variable", {
  project: process.env.GITLAB_PROJECT,
  key: "NOTHING",
  value: "nothing",
});
