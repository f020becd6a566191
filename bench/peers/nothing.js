// A Pulumi program with COUNT dynamic resources that do nothing.
const pulumi = require("@pulumi/pulumi");

const provider = { create: async () => ({ id: "nothing", outs: {} }) };

class Nothing extends pulumi.dynamic.Resource {
  constructor(name) {
    super(provider, name, {});
  }
}

for (let number = 1; number <= Number(process.env.COUNT); number += 1) {
  new Nothing(`nothing-${number}`);
}
