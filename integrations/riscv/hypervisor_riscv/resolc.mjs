#!/usr/bin/env node
// Compile Solidity to RISC-V: standard JSON over stdin and stdout, by npm's @parity/resolc.
//
// All sources are one input, because a start takes twenty seconds. resolc fails as a whole for a source that it cannot
// compile. Such a source is found by halving, and named in the errors.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

// Without an EVM version: resolc 0.3 knows none after Cancun. The heap of a contract is fixed, and loops of resolc 0.3 use stack. Keys in camel case are ignored.
const MEMORY = { stack_size: 1 << 20, heap_size: 1 << 17 };
const OUTPUTS = ["abi", "evm.methodIdentifiers", "metadata", "storageLayout"];
const PACKAGE = join("node_modules", "@parity", "resolc");

process.removeAllListeners("uncaughtException");
const asked = JSON.parse(readFileSync(0, "utf8"));
const wanted = Object.keys(asked.settings.outputSelection ?? {});
const resolc = createRequire(import.meta.url)(join(find(), "dist", "resolc.js")).resolc;
const result = { contracts: {}, sources: {}, errors: [] };
compileAll(wanted);
process.stdout.write(JSON.stringify(result));

function find() {
  for (let folder = process.env.RESOLC_HOME ?? process.cwd(); ; folder = dirname(folder)) {
    if (existsSync(join(folder, PACKAGE))) return join(folder, PACKAGE);
    if (folder === dirname(folder)) break;
  }
  console.error("resolc is not installed: run `npm install @parity/resolc@0.3.0 solc@0.8.30` in the project, or set RESOLC_HOME to the folder with node_modules");
  process.exit(1);
}

function compileAll(names) {
  if (!names.length) return;
  let output, failure;
  try {
    output = compile(names);
  } catch (error) {
    failure = String(error?.message ?? error).trim().slice(0, 2000);
  }
  if (output !== undefined && (names.length === 1 || !refused(output, names))) return merge(output, names);
  if (names.length > 1) {
    const half = names.length >> 1;
    compileAll(names.slice(0, half));
    return compileAll(names.slice(half));
  }
  const message = `${names[0]}: resolc cannot compile this source: ${failure}`;
  result.errors.push({ severity: "error", type: "Error", component: "resolc", message, formattedMessage: message });
}

// An error without the location of a source: resolc's own, which hides the others' output.
function refused(output, names) {
  const errors = (output.errors ?? []).filter((found) => found.severity === "error");
  return errors.length > 0 && !errors.some((found) => found.sourceLocation?.file);
}

function compile(names) {
  const settings = {
    optimizer: { enabled: true, mode: "z", runs: asked.settings.optimizer?.runs ?? 200 },
    outputSelection: { "*": { "*": OUTPUTS, "": ["ast"] } },
    polkavm: { memory_config: MEMORY, debug_information: false },
    remappings: asked.settings.remappings ?? [],
  };
  return resolc(JSON.stringify({ language: "Solidity", sources: closure(names), settings }));
}

// The chosen sources with all that they may import: those that are not compiled for themselves.
function closure(names) {
  const others = new Set(wanted.filter((name) => !names.includes(name)));
  return Object.fromEntries(Object.entries(asked.sources).filter(([name]) => !others.has(name) || imported(name, names)));
}

function imported(name, names) {
  const found = new Set(names);
  for (const current of found) {
    for (const path of Object.keys(asked.sources)) {
      if (!found.has(path) && asked.sources[current]?.content.includes(path.split("/").pop())) found.add(path);
    }
  }
  return found.has(name);
}

function merge(output, names) {
  for (const name of names) {
    result.contracts[name] = output.contracts?.[name] ?? {};
    for (const contract of Object.values(result.contracts[name])) {
      if (typeof contract.metadata === "object") contract.metadata = JSON.stringify(contract.metadata); // as solc
      contract.evm ??= {};
      contract.evm.bytecode ??= { object: "" };
      contract.evm.deployedBytecode = { object: contract.evm.bytecode.object };
    }
  }
  Object.assign(result.sources, output.sources);
  result.errors.push(...(output.errors ?? []));
}
