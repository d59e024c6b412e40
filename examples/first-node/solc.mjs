#!/usr/bin/env node
// npm's solc under the command line that forge uses: --version, and --standard-json over stdin and stdout. It never takes
// the one of the current folder: that is code of the project.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const folder = resolve(process.env.CLIENTS ?? dirname(fileURLToPath(import.meta.url)));
const solc = load(createRequire(resolve(folder, "package.json")));

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("solc.mjs understands --version and --standard-json");
  process.exit(1);
}

function load(require) {
  try {
    return require("solc");
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    console.error(`solc.mjs: no npm package solc in ${folder}: run \`npm install solc\` there, or name its folder by CLIENTS`);
    process.exit(1);
  }
}
