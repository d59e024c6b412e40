// Run npm's soljson.js at a given path, with standard JSON over stdin and stdout: one input, or with `--lines` one per line.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";

// Optimizing most of the compiler's functions takes longer than it saves, so the threshold is 28 times Node 20's default.
// Compiling a test of 54 sources takes 2.5 s instead of 3.0.
setFlagsFromString("--wasm-tiering-budget=50000000");

// C++ looks up functions that may throw in the table at each call, tens of millions of times; caching the lookups saves a
// tenth of the compiler's time.
const { get, set } = WebAssembly.Table.prototype;
WebAssembly.Table.prototype.get = function (place) {
  const known = (this.known ??= []);
  return (known[place] ??= get.call(this, place));
};
WebAssembly.Table.prototype.set = function (place, ...value) {
  this.known = [];
  set.call(this, place, ...value);
};

const compiler = createRequire(import.meta.url)(process.argv[2]);
// (input, import callback, its context): the input contains every source, so no callback is needed.
const compile = compiler.cwrap("solidity_compile", "string", ["string", "number", "number"]);
if (process.argv[3] === "--lines") {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(compile(line, 0, 0) + "\n");
    compiler._solidity_reset(); // frees the output
  }
} else {
  process.stdout.write(compile(readFileSync(0, "utf8"), 0, 0));
}
