// viem against a node: everything that its quick start does, and what Filecoin adds. Prints what it saw as JSON.
//
//     CLIENTS=folder-with-node_modules node viem.mjs URL ARTIFACT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const require = createRequire(resolve(process.env.CLIENTS ?? ".", "package.json"));
const { createPublicClient, createTestClient, createWalletClient, defineChain, http, parseEther } = require("viem");
const { mnemonicToAccount } = require("viem/accounts");

const [url, artifact] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(artifact, "utf8"));
const chain = defineChain({
  id: 31415926,
  name: "localnet",
  nativeCurrency: { name: "FIL", symbol: "FIL", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url, { batch: true });
const account = mnemonicToAccount("test test test test test test test test test test test junk", { addressIndex: 6 });
const reader = createPublicClient({ chain, transport, pollingInterval: 50 });
const wallet = createWalletClient({ chain, transport, account });
const control = createTestClient({ chain, transport, mode: "anvil" });
const seen = {};

seen.chainId = await reader.getChainId();
const deployed = await wallet.deployContract({ abi, bytecode: bytecode.object });
const { contractAddress: address, status } = await reader.waitForTransactionReceipt({ hash: deployed });
seen.deployed = status;
const contract = { address, abi };

const watched = new Promise((found) => {
  const stop = reader.watchContractEvent({ ...contract, eventName: "Kept", onLogs: (logs) => (stop(), found(logs)) });
});
seen.name = (await reader.simulateContract({ ...contract, functionName: "name" })).result;
const kept = await wallet.writeContract({ ...contract, functionName: "keep" });
await reader.waitForTransactionReceipt({ hash: kept });
seen.kept = await reader.readContract({ ...contract, functionName: "kept" });
seen.event = (await watched)[0].args.name;
seen.logs = (await reader.getContractEvents({ ...contract, eventName: "Kept", fromBlock: 0n })).length;

const masked = "0xff00000000000000000000000000000000000065";
const before = await reader.getBalance({ address: masked });
for (const fees of [{}, { type: "legacy" }, { type: "eip2930", gasPrice: 200000n }]) {
  const hash = await wallet.sendTransaction({ to: masked, value: parseEther("1"), ...fees });
  const { type } = await reader.getTransaction({ hash: (await reader.waitForTransactionReceipt({ hash })).transactionHash });
  (seen.types ??= []).push(type);
}
seen.received = Number((await reader.getBalance({ address: masked })) - before) / 1e18;

seen.history = (await reader.getFeeHistory({ blockCount: 3, rewardPercentiles: [25, 75] })).reward.length;
const block = await reader.getBlock({ includeTransactions: true });
seen.block = block.transactions[0].from === account.address.toLowerCase();
seen.nonce = await reader.getTransactionCount({ address: account.address });

try {
  await reader.simulateContract({ ...contract, functionName: "name", value: 1n });
} catch (error) {
  seen.revert = error.shortMessage;
}
const snapshot = await control.snapshot();
await control.mine({ blocks: 3 });
await control.increaseTime({ seconds: 1000 });
await control.setBalance({ address: account.address, value: 5n });
await control.revert({ id: snapshot });
seen.reverted = (await reader.getBlockNumber({ cacheTime: 0 })) === block.number;
console.log(JSON.stringify(seen));
process.exit(0);
