// Compiles Market.sol beside it to Market.json, with what its author says in comments; for a test and for whoever
// changes the contract: node compile.mjs PACKAGES prints it. PACKAGES is a folder with npm's solc.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const solc = createRequire(resolve(process.argv[2], "package.json"))("solc");
const content = readFileSync(new URL("Market.sol", import.meta.url), "utf8");
const settings = {
  evmVersion: "shanghai",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};
const outputSelection = { "*": { "*": ["abi", "devdoc", "userdoc", "evm.bytecode.object"] } };
const sources = { "Market.sol": { content } };
const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
const { contracts, errors = [] } = JSON.parse(solc.compile(JSON.stringify(input)));
for (const { formattedMessage } of errors) console.error(formattedMessage);
if (errors.length > 0) process.exit(1);
const { abi, devdoc, userdoc, evm } = contracts["Market.sol"].Market;
const artifact = { contract: "Market", abi, bytecode: `0x${evm.bytecode.object}`, devdoc, userdoc };
const hashes = { "Market.sol": createHash("sha256").update(content).digest("hex") };
const more = { compiler: `solc ${solc.version()}`, settings, sources: hashes };
console.log(JSON.stringify({ ...artifact, ...more }, null, 2));
