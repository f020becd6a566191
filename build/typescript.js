// For `node -r`, and for cli/bin.js: Node loads this checkout's TypeScript, transpiled by swc. ts-node would load the
// TypeScript compiler first, for its configuration alone, and take twice as long to start. Stack traces have the lines of
// the sources with `node --enable-source-maps`.
const { join, relative, sep } = require("node:path");
const { addHook } = require("pirates");
const { transformSync } = require("@swc/core");

const root = join(__dirname, "..");
const options = {
  swcrc: false,
  jsc: { parser: { syntax: "typescript" }, target: "es2022" },
  module: { type: "commonjs", ignoreDynamic: true },
  sourceMaps: process.sourceMapsEnabled ? "inline" : false,
};

/** Of this checkout, wherever it lies, and not of a package in it. */
function isOurs(file) {
  const [first] = relative(root, file).split(sep);
  return first !== ".." && first !== "node_modules";
}

addHook((code, filename) => transformSync(code, { ...options, filename }).code, {
  exts: [".ts"],
  matcher: isOurs,
  ignoreNodeModules: false,
});
