#!/usr/bin/env node
// Plain JavaScript: it runs before anything is built or installed. In a checkout it loads the sources, in an installed
// package what was compiled of them.
const { existsSync } = require("node:fs");
const { join } = require("node:path");

const isCheckout = existsSync(join(__dirname, "main.ts"));

function load() {
  if (!isCheckout) return require("../dist/lib/cli/main.js");
  require("../build/typescript.js");
  return require("./main.ts");
}

try {
  load().main(process.argv.slice(2));
} catch (error) {
  // The second: node_modules is another machine's, so that swc's native part is not the right one.
  if (error.code !== "MODULE_NOT_FOUND" && !/native binding/.test(error.message)) throw error;
  const [missing] = error.message.split("\n");
  const fix = isCheckout ? "run `npm ci --ignore-scripts` in its checkout" : "install it again";
  console.error(
    `apisec-credentials is not installed completely: ${missing}; ${fix}. [APC-INCOMPLETE]`,
  );
  process.exitCode = 2;
}
