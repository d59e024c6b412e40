// Compiles the contracts of Filecoin's onchain cloud, as they are published, with npm's solc.
//
//     node compile.mjs SUITES OUT
//
// SUITES is the folder of their sources; OUT gets one { abi, bytecode, links } for each contract. Run in the folder
// with the packages of package.json.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const [suites, out] = process.argv.slice(2);

const services = "suites/filecoin-services/service_contracts";
const libraries = (folder) => [
  `${folder}/lib/openzeppelin-contracts/contracts/=@openzeppelin/contracts/`,
  `${folder}/lib/openzeppelin-contracts-upgradeable/contracts/=@openzeppelin/contracts-upgradeable/`,
];
const remappings = [
  "@pdp/=suites/pdp/src/",
  "@fws-payments/=suites/filecoin-pay/src/",
  "@session-key-registry/=suites/SessionKeyRegistry/src/",
  "@fvm-solidity/=suites/fvm-solidity/src/",
  "fvm-solidity/=suites/fvm-solidity/src/",
  "@prb-math/=@prb/math/src/",
  ...libraries("suites/pdp"),
  ...libraries(services),
];

// Each with the optimizer's runs of its own foundry.toml; all of them are compiled by the IR.
const contracts = {
  "suites/pdp/src/PDPVerifier.sol": { name: "PDPVerifier", runs: 1 },
  "suites/filecoin-pay/src/FilecoinPayV1.sol": { name: "FilecoinPayV1", runs: 200 },
  "suites/SessionKeyRegistry/src/SessionKeyRegistry.sol": { name: "SessionKeyRegistry", runs: 200 },
  [`${services}/src/ServiceProviderRegistry.sol`]: { name: "ServiceProviderRegistry", runs: 200 },
  [`${services}/src/lib/SignatureVerificationLib.sol`]: { name: "SignatureVerificationLib", runs: 200 },
  [`${services}/src/ProviderIdSet.sol`]: { name: "ProviderIdSet", runs: 200 },
  [`${services}/src/lib/Rails.sol`]: { name: "Rails", runs: 200 },
  [`${services}/src/FilecoinWarmStorageService.sol`]: { name: "FilecoinWarmStorageService", runs: 200 },
  [`${services}/src/FilecoinWarmStorageServiceStateView.sol`]: { name: "FilecoinWarmStorageServiceStateView", runs: 200 },
  "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol": { name: "ERC1967Proxy", runs: 200 },
  "Usdfc.sol": { name: "Usdfc", runs: 200 },
};

function find(name) {
  const [root, path] = name.startsWith("suites/") ? [suites, name.slice(7)] : [join(here, "node_modules"), name];
  try {
    return { contents: readFileSync(name === "Usdfc.sol" ? join(here, name) : join(root, path), "utf8") };
  } catch (error) {
    return { error: error.message };
  }
}

mkdirSync(out, { recursive: true });
for (const [source, { name, runs }] of Object.entries(contracts)) {
  const input = {
    language: "Solidity",
    sources: { [source]: { content: find(source).contents } },
    settings: {
      remappings,
      viaIR: true,
      evmVersion: "prague",
      optimizer: { enabled: true, runs },
      metadata: { bytecodeHash: "none" },
      outputSelection: { [source]: { [name]: ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"] } },
    },
  };
  const { contracts: made, errors = [] } = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const failed = errors.filter((one) => one.severity === "error");
  if (failed.length) {
    console.error(failed.map((one) => one.formattedMessage).join("\n"));
    process.exit(1);
  }
  const { abi, evm } = made[source][name];
  const { object, linkReferences } = evm.bytecode;
  writeFileSync(join(out, `${name}.json`), JSON.stringify({ abi, bytecode: `0x${object}`, links: linkReferences }));
  console.error(`compiled ${name} (${object.length / 2} bytes of init code)`);
}
