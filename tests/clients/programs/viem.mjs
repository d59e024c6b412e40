// viem: public, wallet and test clients, over HTTP and a WebSocket.
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createTestClient, createWalletClient, defineChain,
  getAddress, http, keccak256, pad, parseEther, toHex, webSocket,
} from "viem";
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { assert, chainId, check, contract, finish, mnemonic, socket, until, url } from "./check.mjs";

const chain = defineChain({
  id: chainId,
  name: "localnet",
  nativeCurrency: { name: "FIL", symbol: "FIL", decimals: 18 },
  rpcUrls: { default: { http: [url], webSocket: [socket] } },
  contracts: { multicall3: { address: "0xcA11bde05977b3631167028862bE2a173976CA11" } },
});
const transport = http(url, { batch: true });
const account = mnemonicToAccount(mnemonic);
const reader = createPublicClient({ chain, transport, pollingInterval: 50 });
const wallet = createWalletClient({ chain, transport, account });
const { abi, bytecode } = contract("Notes");
const stranger = () => privateKeyToAccount(generatePrivateKey());
const mined = (hash) => reader.waitForTransactionReceipt({ hash });
let address;

const reverted = (predicate) => (error) => {
  const cause = error instanceof BaseError && error.walk((one) => one instanceof ContractFunctionRevertedError);
  assert.ok(cause instanceof ContractFunctionRevertedError, error);
  return predicate(cause);
};

await check("chain, blocks and fees", async () => {
  assert.equal(await reader.getChainId(), chainId);
  const block = await reader.getBlock({ blockTag: "latest" });
  assert.equal(block.number, await reader.getBlockNumber());
  const fees = await reader.estimateFeesPerGas();
  assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas);
  const history = await reader.getFeeHistory({ blockCount: 1, rewardPercentiles: [25, 75] });
  assert.equal(history.baseFeePerGas.length, 2);
});

await check("transfer", async () => {
  const to = stranger().address;
  const receipt = await mined(await wallet.sendTransaction({ to, value: parseEther("2") }));
  assert.equal(receipt.status, "success");
  assert.equal(await reader.getBalance({ address: to }), parseEther("2"));
});

await check("transfer, and its receipt in one request", async () => {
  const receipt = await wallet.sendTransactionSync({ to: stranger().address, value: 1n, timeout: 10_000 });
  assert.deepEqual([receipt.status, receipt.from], ["success", account.address.toLowerCase()]);
});

await check("deploy a contract", async () => {
  const hash = await wallet.deployContract({ abi, bytecode, args: ["first"], value: 1n });
  address = getAddress((await mined(hash)).contractAddress);
  assert.equal(await reader.readContract({ address, abi, functionName: "notes", args: [0n] }), "first");
});

await check("simulate, write, and find the event", async () => {
  const { request } = await reader.simulateContract({
    account, address, abi, functionName: "write", args: [5n, "five"], value: 9n,
  });
  await mined(await wallet.writeContract(request));
  const [event] = await reader.getContractEvents({
    address, abi, eventName: "Written", args: { key: 5n }, fromBlock: 0n, strict: true,
  });
  assert.deepEqual(event.args, { by: account.address, key: 5n, text: "five", value: 9n });
});

await check("a custom error with its arguments", async () => {
  await assert.rejects(
    reader.simulateContract({ account, address, abi, functionName: "refuse", args: [7n] }),
    reverted(({ data }) => data.errorName === "Refused" && data.args[0] === account.address && data.args[1] === 7n),
  );
});

await check("a revert with a reason, a panic", async () => {
  await assert.rejects(
    reader.simulateContract({ account, address, abi, functionName: "fail", args: ["not today"] }),
    reverted(({ reason }) => reason === "not today"),
  );
  await assert.rejects(
    reader.readContract({ address, abi, functionName: "divide", args: [1n, 0n] }),
    reverted(({ data }) => data.errorName === "Panic" && data.args[0] === 18n),
  );
});

await check("multicall through Multicall3", async () => {
  const of = (functionName, ...args) => ({ address, abi, functionName, args });
  const [count, text, failed] = await reader.multicall({ contracts: [of("count"), of("notes", 5n), of("refuse", 1n)] });
  assert.deepEqual([count.result, text.result, failed.status], [2n, "five", "failure"]);
  assert.match(failed.error.message, /Refused/);
});

await check("calls are batched into one by Multicall3", async () => {
  const batching = createPublicClient({ chain, transport, batch: { multicall: true } });
  const keys = [0n, 5n, 6n];
  const texts = await Promise.all(
    keys.map((key) => batching.readContract({ address, abi, functionName: "notes", args: [key] })),
  );
  assert.deepEqual(texts, ["first", "five", ""]);
});

await check("call with overridden states", async () => {
  const poor = stranger().address;
  await reader.call({
    account: poor, to: address, data: "0x06661abd", stateOverride: [{ address: poor, balance: parseEther("1") }],
  });
  const slot = toHex(1n, { size: 32 });
  const { data } = await reader.call({
    to: address, data: "0x06661abd",
    stateOverride: [{ address, stateDiff: [{ slot, value: pad("0x63") }] }],
  });
  assert.equal(BigInt(data), 99n);
});

await check("simulate blocks", async () => {
  const { results } = await reader.simulateCalls({
    account, calls: [{ to: address, abi, functionName: "count" }, { to: stranger().address, value: 1n }],
  });
  assert.deepEqual(results.map((one) => one.status), ["success", "success"]);
  assert.equal(results[0].result, 2n);
});

await check("many contracts at once, with counted nonces", async () => {
  let nonce = await reader.getTransactionCount({ address: account.address });
  const hashes = [];
  for (let n = 0; n < 10; n++) {
    hashes.push(await wallet.deployContract({ abi, bytecode, args: [`number ${n}`], nonce: nonce++ }));
  }
  const receipts = await Promise.all(hashes.map(mined));
  assert.equal(new Set(receipts.map((one) => one.contractAddress)).size, 10);
});

await check("a message and typed data are verified", async () => {
  const node = createWalletClient({ chain, transport, account: account.address });
  const signature = await node.signMessage({ message: "hello" });
  assert.ok(await reader.verifyMessage({ address: account.address, message: "hello", signature }));
  const typed = {
    domain: { name: "Notes", chainId, verifyingContract: address },
    types: { Note: [{ name: "key", type: "uint256" }, { name: "text", type: "string" }] },
    primaryType: "Note",
    message: { key: 1n, text: "signed" },
  };
  const ours = await node.signTypedData(typed);
  assert.equal(ours, await account.signTypedData(typed));
  assert.ok(await reader.verifyTypedData({ ...typed, address: account.address, signature: ours }));
});

await check("events and blocks are watched by polling", async () => {
  const heard = { texts: [], blocks: [] };
  const stop = [
    reader.watchContractEvent({
      address, abi, eventName: "Written", onLogs: (logs) => heard.texts.push(...logs.map((log) => log.args.text)),
    }),
    reader.watchBlockNumber({ onBlockNumber: (number) => heard.blocks.push(number) }),
  ];
  await new Promise((wake) => setTimeout(wake, 300)); // viem has made its filter
  const hash = await wallet.writeContract({ address, abi, functionName: "write", args: [6n, "polled"] });
  const { blockNumber } = await mined(hash);
  await until(() => heard.texts.includes("polled") && heard.blocks.includes(blockNumber));
  stop.forEach((end) => end());
});

await check("a WebSocket: blocks, logs and pending transactions", async () => {
  const live = createPublicClient({ chain, transport: webSocket(socket) });
  const heard = { blocks: [], texts: [], pending: [] };
  live.watchBlocks({ onBlock: (block) => heard.blocks.push(block.number) });
  live.watchPendingTransactions({ onTransactions: (hashes) => heard.pending.push(...hashes) });
  live.watchContractEvent({
    address, abi, eventName: "Written", args: { key: 31n },
    onLogs: (logs) => heard.texts.push(...logs.map((log) => log.args.text)),
  });
  await live.getBlockNumber(); // requests of a connection are begun in order: the subscriptions are there
  const hash = await wallet.writeContract({ address, abi, functionName: "write", args: [31n, "live"] });
  const { blockNumber } = await mined(hash);
  await until(() => heard.blocks.includes(blockNumber) && heard.texts.length && heard.pending.length);
  assert.deepEqual([heard.texts, heard.pending], [["live"], [hash]]);
});

for (const mode of ["anvil", "hardhat"]) {
  const control = createTestClient({ chain, transport, mode, pollingInterval: 50 });
  const named = (name, body) => check(`${name} (${mode})`, body);

  await named("a snapshot is reverted to", async () => {
    const height = await reader.getBlockNumber({ cacheTime: 0 });
    const snapshot = await control.snapshot();
    await control.mine({ blocks: 3 });
    assert.equal(await reader.getBlockNumber({ cacheTime: 0 }), height + 3n);
    await control.revert({ id: snapshot });
    assert.equal(await reader.getBlockNumber({ cacheTime: 0 }), height);
  });

  await named("balance, nonce, code and storage are set", async () => {
    const target = stranger().address;
    await control.setBalance({ address: target, value: parseEther("7") });
    await control.setNonce({ address: target, nonce: 12 });
    assert.equal(await reader.getBalance({ address: target }), parseEther("7"));
    assert.equal(await reader.getTransactionCount({ address: target }), 12);
    const place = stranger().address;
    const code = await reader.getCode({ address });
    await control.setCode({ address: place, bytecode: code });
    await control.setStorageAt({ address: place, index: 1, value: pad("0x2a") });
    assert.equal(await reader.readContract({ address: place, abi, functionName: "count" }), 42n);
    assert.equal(keccak256(await reader.getCode({ address: place })), keccak256(code));
  });

  await named("an account is impersonated", async () => {
    const who = stranger().address;
    await control.setBalance({ address: who, value: parseEther("5") });
    await control.impersonateAccount({ address: who });
    const acting = createWalletClient({ chain, transport, account: who });
    const to = stranger().address;
    await mined(await acting.sendTransaction({ to, value: 11n }));
    assert.equal(await reader.getBalance({ address: to }), 11n);
    await control.stopImpersonatingAccount({ address: who });
    await assert.rejects(acting.sendTransaction({ to, value: 1n }));
  });

  await named("the time is moved", async () => {
    const { timestamp } = await reader.getBlock();
    await control.increaseTime({ seconds: 86_400 });
    await control.mine({ blocks: 1 });
    const later = (await reader.getBlock()).timestamp;
    assert.ok(later >= timestamp + 86_400n);
    await control.setNextBlockTimestamp({ timestamp: later + 1_000n });
    await control.mine({ blocks: 1 });
    assert.equal((await reader.getBlock()).timestamp, later + 1_000n);
  });

  await named("without automine, transactions wait", async () => {
    await control.setAutomine(false);
    const hash = await wallet.sendTransaction({ to: account.address, value: 1n });
    await assert.rejects(reader.getTransactionReceipt({ hash }));
    const counted = (blockTag) => reader.getTransactionCount({ address: account.address, blockTag });
    assert.equal(await counted("pending"), (await counted("latest")) + 1);
    await control.mine({ blocks: 1 });
    assert.equal((await reader.getTransactionReceipt({ hash })).status, "success");
    await control.setAutomine(true);
  });
}

await check("a waiting transaction is dropped, and the pool is read", async () => {
  const control = createTestClient({ chain, transport, mode: "anvil" });
  await control.setAutomine(false);
  const hash = await wallet.sendTransaction({ to: account.address, value: 1n });
  assert.equal((await control.getTxpoolStatus()).pending, 1);
  await control.dropTransaction({ hash });
  assert.equal((await control.getTxpoolStatus()).pending, 0);
  await control.setAutomine(true);
});

await check("the state is dumped and loaded", async () => {
  const control = createTestClient({ chain, transport, mode: "anvil" });
  const state = await control.dumpState();
  const before = await reader.readContract({ address, abi, functionName: "count" });
  await mined(await wallet.writeContract({ address, abi, functionName: "write", args: [50n, "to forget"] }));
  await control.loadState({ state });
  assert.equal(await reader.readContract({ address, abi, functionName: "count" }), before);
});

await check("an access list is refused with the reason", async () => {
  await assert.rejects(
    wallet.sendTransaction({ to: account.address, value: 1n, accessList: [{ address, storageKeys: [] }] }),
    /a Filecoin message cannot carry one/,
  );
});

finish();
