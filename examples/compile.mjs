// Compiles the contracts of the examples, those in folders with a README.md beside this file and of the labs, each to
// <folder>/<Contract>.json: ABI, creation bytecode, compiler, packages, and the sha-256 of every source of the folder,
// so that a stale artifact is found without a compiler.
//
//     node compile.mjs PACKAGES            write the artifacts          (`scripts/examples` does this)
//     node compile.mjs PACKAGES --check    compare them with the committed ones
//
// PACKAGES is a folder in which the packages of package.json are installed. Metadata is left out, so that the same
// source gives the same bytes in every folder. The EVM version is Shanghai, which every supported network version runs.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const packages = createRequire(resolve(process.argv[2], "package.json"));
const check = process.argv.includes("--check");
const solc = packages("solc");
const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));

const settings = {
  evmVersion: "shanghai",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

const digest = (content) => createHash("sha256").update(content).digest("hex");
const imported = (path) => ({ contents: readFileSync(packages.resolve(path), "utf8") });

let different = 0;
const roots = [here, join(here, "../integrations/labs/examples")];
const folders = roots.flatMap((root) => readdirSync(root).map((name) => join(root, name)));
for (const folder of folders.filter((name) => existsSync(join(name, "README.md")))) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".sol")).sort();
  if (names.length === 0) continue; // an example without a contract of its own
  const sources = Object.fromEntries(
    names.map((name) => [name, { content: readFileSync(join(folder, name), "utf8") }]),
  );
  const hashes = Object.fromEntries(names.map((name) => [name, digest(sources[name].content)]));
  const output = compile(sources);
  for (const name of names) {
    const contract = name.replace(".sol", "");
    const { abi, evm } = output.contracts[name][contract];
    const { object } = evm.bytecode;
    if (abi.length === 0 || !abi.some(({ type }) => type === "function")) continue; // a library of internal functions
    const artifact = { contract, abi, bytecode: `0x${object}`, compiler: `solc ${solc.version()}`, settings };
    const text = `${JSON.stringify({ ...artifact, packages: dependencies, sources: hashes }, null, 2)}\n`;
    const path = join(folder, `${contract}.json`);
    if (!check) {
      writeFileSync(path, text);
    } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
      console.log(`${basename(folder)}/${contract}.json differs`);
      different += 1;
    }
  }
}
if (check) console.log(different ? "CHANGED" : "IDENTICAL");
process.exit(different ? 1 : 0);

// Complaints of the packages' own sources are theirs.
function compile(sources) {
  const outputSelection = { "*": { "*": ["abi", "evm.bytecode.object"] } };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: imported }));
  const own = ({ severity, sourceLocation }) => severity === "error" || sourceLocation?.file in sources;
  const complaints = (output.errors ?? []).filter(own);
  for (const { formattedMessage } of complaints) console.error(formattedMessage);
  if (complaints.length > 0) process.exit(1);
  return output;
}
