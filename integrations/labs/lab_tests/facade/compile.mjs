// Compiles the contracts beside it with the generated interfaces of bridge/solidity, into compiled/<Contract>.json: ABI,
// code, and the sha-256 of every source. With --check-abi it compares the interfaces' committed ABI with solc's instead.
//
//     CLIENTS=$(scripts/clients) node integrations/labs/lab_tests/facade/compile.mjs

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const interfaces = fileURLToPath(new URL("../../../../bridge/solidity/", import.meta.url));
const solc = createRequire(resolve(process.env.CLIENTS, "package.json"))("solc");

const solidity = (folder) => readdirSync(folder).filter((name) => name.endsWith(".sol")).sort();
const sources = Object.fromEntries(
  [interfaces, here].flatMap((folder) =>
    solidity(folder).map((name) => [name, { content: readFileSync(`${folder}/${name}`, "utf8") }]),
  ),
);
const settings = {
  evmVersion: "shanghai",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};
const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
for (const complaint of output.errors ?? []) console.error(complaint.formattedMessage);
if (output.errors?.length) process.exit(1);

if (process.argv.includes("--check-abi")) {
  let different = 0;
  for (const name of solidity(interfaces).filter((name) => name.startsWith("I"))) {
    const contract = name.replace(".sol", "");
    const committed = JSON.parse(readFileSync(`${interfaces}/${contract}.json`, "utf8"));
    if (JSON.stringify(committed) !== JSON.stringify(output.contracts[name][contract].abi)) {
      console.error(`${contract}.json is not what solc makes of ${name}`);
      different += 1;
    }
  }
  process.exit(different ? 1 : 0);
}

const digest = (content) => createHash("sha256").update(content).digest("hex");
const hashes = Object.fromEntries(Object.entries(sources).map(([name, { content }]) => [name, digest(content)]));
for (const name of solidity(here)) {
  const contract = name.replace(".sol", "");
  const { abi, evm } = output.contracts[name][contract];
  const artifact = { contract, abi, bytecode: `0x${evm.bytecode.object}`, compiler: `solc ${solc.version()}`, sources: hashes };
  writeFileSync(`${here}/compiled/${contract}.json`, `${JSON.stringify(artifact, null, 2)}\n`);
}
