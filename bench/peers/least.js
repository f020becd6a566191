// The least Pulumi program that registers something.
const { ComponentResource } = require("@pulumi/pulumi");

new ComponentResource("bench:index:Least", "least");
