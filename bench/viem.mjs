// Measures requests of viem against a node, each after the other. Prints a JSON object of microseconds per request, the
// lowest of some rounds: node viem.mjs VIEM URL, where VIEM is the path of viem's module.
import { pathToFileURL } from "node:url";

const [, , module, url] = process.argv;
const { createTestClient, createWalletClient, http, publicActions } = await import(pathToFileURL(module));
const ROUNDS = 4;
const LOGS = 200;
const EMITTER = `0x${"00".repeat(19)}97`;
// emits as many logs without topics and data as the input says
const EMITS = "0x5f355b5f5fa06001900380600257" + "00";

const transport = http(url, { retryCount: 0 });
const test = createTestClient({ mode: "hardhat", transport, pollingInterval: 1 }).extend(publicActions);
const [account, receiver] = await test.request({ method: "eth_accounts" });
const id = await test.getChainId();
const chain = {
  id, name: "local", nativeCurrency: { name: "token", symbol: "T", decimals: 18 }, rpcUrls: { default: { http: [url] } },
};
const wallet = createWalletClient({ account, chain, transport });

async function microseconds(calls, request) {
  let best = Infinity;
  await request();
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let call = 0; call < calls; call++) await request();
    best = Math.min(best, (1000 * (performance.now() - start)) / calls);
  }
  return best;
}

const transaction = { account, to: receiver, value: 1n };
async function transfer(fields) {
  const hash = await wallet.sendTransaction(fields);
  const receipt = await test.waitForTransactionReceipt({ hash, pollingInterval: 1 });
  if (receipt.status !== "success") throw new Error("the transaction failed");
  return receipt;
}

await test.setCode({ address: EMITTER, bytecode: EMITS });
const data = `0x${LOGS.toString(16).padStart(64, "0")}`;
const { blockNumber } = await transfer({ account, to: EMITTER, data });
const range = { address: EMITTER, fromBlock: blockNumber, toBlock: blockNumber };
const found = await test.getLogs(range);
if (found.length !== LOGS) throw new Error(`${found.length} logs, expected ${LOGS}`);

console.log(JSON.stringify({
  transfer: await microseconds(30, () => transfer(transaction)),
  estimateGas: await microseconds(50, () => test.estimateGas(transaction)),
  getLogs: await microseconds(20, () => test.getLogs(range)),
  call: await microseconds(100, () => test.call({ to: receiver, data: "0x" })),
}));
