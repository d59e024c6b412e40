// npm's soljson.js, named by its path: standard JSON over stdin and stdout.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

// To optimize a function of the compiler takes longer than most runs of it gain by that: V8 does it for those that have
// executed 28 times as much as by the default of Node 20. Compiling a test of 54 sources anew takes 2.5 s instead of 3.0.
setFlagsFromString("--wasm-tiering-budget=50000000");

// A function that C++ calls where it may throw is asked of the table each time, tens of millions of times: a tenth of the
// compiler's time goes away where the answer is kept.
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
// (input, callback for imports, its context): every source comes with the input, so no callback is needed.
const compile = compiler.cwrap("solidity_compile", "string", ["string", "number", "number"]);
process.stdout.write(compile(readFileSync(0, "utf8"), 0, 0));
