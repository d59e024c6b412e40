#!/usr/bin/env node
// npm's solc under the command line that forge uses: --version, and --standard-json over stdin and stdout.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const require = createRequire(resolve(process.env.CLIENTS ?? ".", "package.json"));
const solc = require("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("solc.mjs understands --version and --standard-json");
  process.exit(1);
}
