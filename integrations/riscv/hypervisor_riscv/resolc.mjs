#!/usr/bin/env node
// Compile Solidity to RISC-V: standard JSON over stdin and stdout, by npm's @parity/resolc.
//
// A project must not choose the code that runs here: what its node_modules have is compared with the release.
// The folder of RESOLC_HOME is trusted.
//
// All sources are one input, because a start takes twenty seconds. resolc fails as a whole for a source that it cannot
// compile. Such a source is found by halving, and named in the errors.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

// Without an EVM version: resolc 0.3 knows none after Cancun. The heap of a contract is fixed, and loops of resolc 0.3 use stack. Keys in camel case are ignored.
const MEMORY = { stack_size: 1 << 20, heap_size: 1 << 17 };
const OUTPUTS = ["abi", "evm.methodIdentifiers", "metadata", "storageLayout"];
// SHA-256 of the files of @parity/resolc 0.3.0 and solc 0.8.30 that run.
const RELEASE = {
  "./resolc.js": "6b67cc2a67a92991e0e44a4a465269b25523f80078dc8d5f6e607082ae0a2e49",
  "./resolc/resolc": "ea95a1ccddc5f435cb7586ef3cd98a5a4ca32f6cc25bbfca036269c96fc401b8",
  "./resolc/resolc.wasm": "4f56ccdb3fedc7b9e14a4efec5016d319d3e0382f968885df60ac306d3246542",
  "solc/soljson": "3bb491a777f76dff9b2fe73ce29ca20e21a971b59a2f2cf8f73415424f00be06",
};
const PACKAGE = join("node_modules", "@parity", "resolc");

process.removeAllListeners("uncaughtException");
const asked = JSON.parse(readFileSync(0, "utf8"));
const wanted = Object.keys(asked.settings.outputSelection ?? {});
const load = createRequire(join(find(), "dist", "resolc.js"));
if (!process.env.RESOLC_HOME) check();
const resolc = load("./resolc.js").resolc;
const result = { contracts: {}, sources: {}, errors: [] };
compileAll(wanted);
process.stdout.write(JSON.stringify(result));

function find() {
  for (let folder = process.env.RESOLC_HOME ?? process.cwd(); ; folder = dirname(folder)) {
    if (existsSync(join(folder, PACKAGE))) return join(folder, PACKAGE);
    if (folder === dirname(folder)) break;
  }
  refuse("resolc is not installed");
}

function refuse(reason) {
  const remedy = "run `npm install @parity/resolc@0.3.0 solc@0.8.30` in the project, or set RESOLC_HOME to a folder with node_modules";
  console.error(`${reason}: ${remedy}`);
  process.exit(1);
}

function check() {
  for (const [name, expected] of Object.entries(RELEASE)) {
    let found = "missing";
    try {
      found = createHash("sha256").update(readFileSync(load.resolve(name))).digest("hex");
    } catch {}
    if (found !== expected) refuse(`${name} of ${dirname(dirname(load.resolve("./resolc.js")))} is not that of the release (SHA-256 ${found})`);
  }
}

function compileAll(names) {
  if (!names.length) return;
  let output, failure;
  try {
    output = compile(names);
    failure = refusal(output);
  } catch (error) {
    failure = String(error?.message ?? error);
  }
  if (failure === undefined) return merge(output, names);
  if (names.length > 1) {
    const half = names.length >> 1;
    compileAll(names.slice(0, half));
    return compileAll(names.slice(half));
  }
  const message = `${names[0]}: resolc cannot compile this source: ${failure.trim().slice(0, 2000)}`;
  result.errors.push({ severity: "error", type: "Error", component: "resolc", message, formattedMessage: message });
}

// Errors without the location of a source: resolc's own, which hide the others' output.
function refusal(output) {
  const errors = (output.errors ?? []).filter((found) => found.severity === "error");
  if (!errors.length || errors.some((found) => found.sourceLocation?.file)) return undefined;
  return errors.map((found) => found.formattedMessage ?? found.message).join("\n");
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
