// npm's soljson.js, named by its path: standard JSON over stdin and stdout.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const compiler = createRequire(import.meta.url)(process.argv[2]);
// (input, callback for imports, its context): every source comes with the input, so no callback is needed.
const compile = compiler.cwrap("solidity_compile", "string", ["string", "number", "number"]);
process.stdout.write(compile(readFileSync(0, "utf8"), 0, 0));
