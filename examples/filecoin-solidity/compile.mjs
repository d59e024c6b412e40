// Compiles a caller for every API of the Solidity libraries for built-in actors: a contract with one public function for
// each function of the API, which does nothing but pass its arguments on. The callers are made from the libraries' own
// syntax trees, so no function is left out. The test contracts that come with a library, and the mocks that some of them
// call in place of actors, are compiled as they are.
//
//     CLIENTS=folder-with-solc node compile.mjs FOLDER          (scripts/filecoin-solidity does this)
//
// FOLDER/node_modules holds the packages as npm has them; FOLDER/artifacts/<package>/<API>.json is written, and
// <package>/tests/<contract>.json, where the contract that calls a whole API has the API's name, and
// <package>/mocks/<contract>.json.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const solc = createRequire(resolve(process.env.CLIENTS, "package.json"))("solc");
const folder = process.argv[2];
const older = "@zondax/filecoin-solidity";
const packages = ["filecoin-solidity-api", older];
const otherCompiler = ["bigints.test.sol"]; // its dependency wants solc 0.8.17 and no other; so do the older one's mocks

const settings = {
  evmVersion: "shanghai",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

for (const name of packages) {
  const target = join(folder, "artifacts", name);
  const contracts = `${name}/contracts/v0.8`;
  const apis = readdirSync(join(folder, "node_modules", contracts)).filter((file) => file.endsWith("API.sol"));
  for (const file of apis) {
    const api = file.replace(".sol", "");
    const path = `${contracts}/${file}`;
    const library = definition(compile({ [path]: { content: read(path) } }, ["ast"]).sources[path].ast, api);
    const source = caller(api, path, library);
    const compiled = compile({ "Caller.sol": { content: source } }, ["abi", "evm.bytecode.object"]);
    save(target, api, compiled.contracts["Caller.sol"].Caller, { source });
  }
  const tests = compileFolder(contracts, "tests", join(target, "tests"));
  const mocked = name === older ? [] : ["mocks", "mocks/tests"];
  const [mocks, ofMocks] = mocked.map((part) => compileFolder(contracts, part, join(target, "mocks")));
  console.error(`${name}: ${apis.length} APIs, ${tests + (ofMocks ?? 0)} tests and ${mocks ?? 0} mocks compiled`);
}

function compileFolder(contracts, name, target) {
  const sources = join(folder, "node_modules", contracts, name);
  const files = existsSync(sources) ? readdirSync(sources).filter((file) => file.endsWith(".sol")) : [];
  const known = files.filter((file) => !otherCompiler.includes(file));
  for (const file of known) {
    const path = `${contracts}/${name}/${file}`;
    const compiled = compile({ [path]: { content: read(path) } }, ["abi", "evm.bytecode.object"]).contracts[path];
    for (const contract of Object.keys(compiled)) {
      save(target, contract.replace(/ApiTest$/, "API"), compiled[contract], {});
    }
  }
  return known.length;
}

function save(target, contract, { abi, evm }, more) {
  const artifact = { contract, abi, bytecode: `0x${evm.bytecode.object}`, compiler: `solc ${solc.version()}` };
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, `${contract}.json`), `${JSON.stringify({ ...artifact, settings, ...more }, null, 2)}\n`);
}

function caller(api, path, library) {
  const functions = library.nodes.filter((node) => node.nodeType === "FunctionDefinition");
  return `// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.17;
import "${path}";
contract Caller {
    receive() external payable {}
    fallback() external payable {}
${functions.map((one) => passedOn(api, one, read(path))).join("")}}
`;
}

function passedOn(api, one, text) {
  const list = (parameters) => parameters.parameters.map((parameter) => sliced(text, parameter.src)).join(", ");
  const names = one.parameters.parameters.map((parameter) => parameter.name).join(", ");
  const mutability = one.stateMutability === "nonpayable" ? "" : ` ${one.stateMutability}`;
  const [returns, back] = one.returnParameters.parameters.length
    ? [` returns (${list(one.returnParameters)})`, "return "]
    : ["", ""];
  return `    function ${one.name}(${list(one.parameters)}) public${mutability}${returns} {
        ${back}${api}.${one.name}(${names});
    }
`;
}

function definition(tree, name) {
  return tree.nodes.find((node) => node.nodeType === "ContractDefinition" && node.name === name);
}

// Positions in a syntax tree count bytes.
function sliced(text, position) {
  const [start, length] = position.split(":").map(Number);
  return Buffer.from(text).subarray(start, start + length).toString();
}

function compile(sources, wanted) {
  const perContract = wanted.filter((item) => item !== "ast");
  const outputSelection = { "*": { "*": perContract, "": wanted.includes("ast") ? ["ast"] : [] } };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: (path) => ({ contents: read(path) }) }));
  const errors = (output.errors ?? []).filter((problem) => problem.severity === "error");
  if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  return output;
}

function read(path) {
  return readFileSync(join(folder, "node_modules", path), "utf8");
}
