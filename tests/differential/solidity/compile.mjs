// Compiles the contracts beside it to OUT/<Contract>.json: ABI and creation bytecode.
//
//     node compile.mjs OUT
//
// Run with the packages of package.json installed in the folder of this file's copy; scripts/corpus does that. A
// library with functions of its own is left to be linked: its place in the bytecode is named in `links`.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const resolve = createRequire(import.meta.url).resolve;
const out = process.argv[2];

const names = readdirSync(here("contracts")).sort();
const sources = Object.fromEntries(
  names.map((name) => [name, { content: readFileSync(here(`contracts/${name}`), "utf8") }]),
);
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"] } },
};
const imported = (path) => ({ contents: readFileSync(resolve(path), "utf8") });
const input = JSON.stringify({ language: "Solidity", sources, settings });
const output = JSON.parse(solc.compile(input, { import: imported }));

const errors = (output.errors ?? []).filter(({ severity }) => severity === "error");
for (const { formattedMessage } of errors) console.error(formattedMessage);
if (errors.length > 0) process.exit(1);

mkdirSync(out, { recursive: true });
for (const name of names) {
  for (const [contract, { abi, evm }] of Object.entries(output.contracts[name])) {
    const links = Object.values(evm.bytecode.linkReferences).flatMap((file) =>
      Object.entries(file).flatMap(([library, places]) => places.map(({ start }) => [library, start])),
    );
    if (evm.bytecode.object) {
      writeFileSync(`${out}/${contract}.json`, JSON.stringify({ abi, bytecode: evm.bytecode.object, links }));
    }
  }
}
