// Compiles the contracts beside it to artifacts/<Contract>.json: ABI, creation and runtime bytecode, compiler, settings,
// and the sha-256 of every source, so that a stale artifact is found without a compiler.
//
//     npm ci && node compile.mjs           write the artifacts
//     npm ci && node compile.mjs --check   compare them with the committed ones
//
// Metadata is left out, so that the same source gives the same bytes in every folder. The EVM version is Shanghai,
// the newest that every supported network version runs.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const deployed = ["Bridge", "Counter", "DataCapName", "Inbox", "Recursion", "SectorStatus"];

const settings = {
  evmVersion: "shanghai",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

const names = readdirSync(here("contracts")).sort();
const sources = Object.fromEntries(
  names.map((name) => [name, { content: readFileSync(here(`contracts/${name}`), "utf8") }]),
);
const digest = (content) => createHash("sha256").update(content).digest("hex");
const hashes = Object.fromEntries(Object.entries(sources).map(([name, { content }]) => [name, digest(content)]));
const outputSelection = { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } };
const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
const output = JSON.parse(solc.compile(JSON.stringify(input)));

const complaints = output.errors ?? [];
for (const complaint of complaints) console.error(complaint.formattedMessage);
if (complaints.length > 0) process.exit(1);

let different = 0;
for (const name of deployed) {
  const { abi, evm } = output.contracts[`${name}.sol`][name];
  const artifact = {
    contract: name,
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
    compiler: `solc ${solc.version()}`,
    settings,
    sources: hashes,
  };
  const path = here(`artifacts/${name}.json`);
  const text = `${JSON.stringify(artifact, null, 2)}\n`;
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    console.log(`artifacts/${name}.json differs`);
    different += 1;
  }
}
if (process.argv.includes("--check")) console.log(different ? "CHANGED" : "IDENTICAL");
process.exit(different ? 1 : 0);
