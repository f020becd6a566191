// Who may import whom. Run by `npm run fences`, and in CI by `make test`.
const source =
  "^(index\\.ts|config|desired|components|providers|core|clients|net|job|scan|checks|cli)(/|$)";
const pulumi = "node_modules/(@pulumi|@grpc)/";

module.exports = {
  forbidden: [
    {
      name: "no-circle",
      severity: "error",
      comment: "Files that import each other cannot be read one after the other.",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-pulumi",
      severity: "error",
      comment: "Desired state, checks, commands, clients and the job run without Pulumi and gRPC.",
      from: {
        path: "^(desired|core|clients|net|job|scan|checks|cli)/|^config/",
        pathNot: "^config/(load|runError)\\.ts$",
      },
      to: { path: pulumi },
    },
    {
      name: "job-is-our-own-code",
      severity: "error",
      comment: "What handles passwords every few hours holds no third-party code.",
      from: { path: "^(core|job|scan)/" },
      to: { path: "^node_modules/", pathNot: "node_modules/@types/node" },
    },
    {
      name: "core-below",
      severity: "error",
      comment: "core/ knows clients and net only by their types.",
      from: { path: "^core/" },
      to: { path: "^(config|desired|components|providers|job|scan|checks|cli|lab|test)/" },
    },
    {
      name: "net-at-the-bottom",
      severity: "error",
      from: { path: "^net/" },
      to: { path: "^(config|desired|components|providers|core|clients|job|scan|checks|cli)/" },
    },
    {
      name: "desired-is-data",
      severity: "error",
      comment: "Desired state is computed from settings and facts: it asks nobody.",
      from: { path: "^desired/" },
      to: { path: "^((components|providers|checks|cli)/|job/(run|main)\\.|net/(transport|axios))" },
    },
    {
      name: "components-register-only",
      severity: "error",
      comment: "preflight.ts is no component: by it a Pulumi program asks the checks.",
      from: { path: "^components/", pathNot: "^components/preflight\\.ts$" },
      to: { path: "^(checks|cli|net)/" },
    },
    {
      name: "no-test-parts",
      severity: "error",
      comment: "The program never imports them; in a checkout, bin.js has its sources transpiled.",
      from: { path: source, pathNot: "^cli/bin\\.js$" },
      to: { path: "^(lab|test|bench|build)/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|\\.lab|\\.cache|examples|sdks)/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { conditionNames: ["require", "node", "default"] },
  },
};
