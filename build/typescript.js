// For `node -r`, and for cli/bin.js: Node loads this checkout's TypeScript, transpiled by swc. ts-node would load the
// TypeScript compiler first, for its configuration alone, and take twice as long to start.
const { addHook } = require("pirates");
const { transformSync } = require("@swc/core");

const options = {
  swcrc: false,
  jsc: { parser: { syntax: "typescript" }, target: "es2022" },
  module: { type: "commonjs", ignoreDynamic: true },
};

addHook((code, filename) => transformSync(code, { ...options, filename }).code, { exts: [".ts"] });
