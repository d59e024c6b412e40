// ethers v6: its getting-started page, and what its users do next.
import {
  Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, NonceManager, WebSocketProvider, id, parseEther,
  verifyTypedData,
} from "ethers";
import { assert, chainId, check, contract, finish, mnemonic, socket, until, url } from "./check.mjs";

const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const phrase = Mnemonic.fromPhrase(mnemonic);
const wallet = HDNodeWallet.fromMnemonic(phrase, "m/44'/60'/0'/0/0").connect(provider);
const other = HDNodeWallet.fromMnemonic(phrase, "m/44'/60'/0'/0/1").connect(provider);
const { abi, bytecode } = contract("Notes");
const factory = new ContractFactory(abi, bytecode, wallet);
let notes;

await check("network and accounts", async () => {
  assert.equal((await provider.getNetwork()).chainId, BigInt(chainId));
  const signers = await provider.listAccounts();
  assert.equal(signers.length, 10);
  assert.equal(signers[0].address, wallet.address);
  assert.equal(await provider.getBalance(wallet), parseEther("10000"));
});

await check("fee data", async () => {
  const fees = await provider.getFeeData();
  assert.ok(fees.gasPrice > 0n && fees.maxFeePerGas > fees.maxPriorityFeePerGas);
});

await check("transfer with a wallet", async () => {
  const to = HDNodeWallet.createRandom().address;
  const sent = await wallet.sendTransaction({ to, value: parseEther("1.5") });
  const receipt = await sent.wait();
  assert.equal(receipt.status, 1);
  assert.equal(await provider.getBalance(to), parseEther("1.5"));
  const found = await provider.getTransaction(sent.hash);
  assert.deepEqual([found.from, found.to, found.type], [wallet.address, to, 2]);
  assert.equal((await provider.getBlock(receipt.blockNumber)).transactions.includes(sent.hash), true);
});

await check("the cost of a transfer is what its receipt says", async () => {
  const before = await provider.getBalance(other);
  const receipt = await (await other.sendTransaction({ to: wallet.address, value: 5n })).wait();
  const cost = before - (await provider.getBalance(other)) - 5n;
  // Filecoin burns a part of the gas that was not used; spread over what was, the price is rounded down.
  const rounded = cost - receipt.gasUsed * receipt.gasPrice;
  assert.ok(rounded >= 0n && rounded < receipt.gasUsed);
});

await check("deploy a contract", async () => {
  notes = await (await factory.deploy("first", { value: 3n })).waitForDeployment();
  assert.equal(await notes.notes(0), "first");
  assert.equal(await notes.owner(), wallet.address);
  assert.equal(await provider.getBalance(notes), 3n);
  assert.ok((await notes.getDeployedCode()).length > 1000);
});

await check("write, and read the event from the receipt", async () => {
  const receipt = await (await notes.write(7, "seven", { value: 2n })).wait();
  const [event] = receipt.logs;
  assert.equal(event.fragment.name, "Written");
  assert.deepEqual([...event.args], [wallet.address, 7n, "seven", 2n]);
});

await check("query events by a filter", async () => {
  await (await notes.write(8, "eight")).wait();
  const eights = await notes.queryFilter(notes.filters.Written(null, 8));
  assert.deepEqual(eights.map((log) => log.args.text), ["eight"]);
  assert.equal((await notes.queryFilter("Written", 0, "latest")).length, 3);
});

await check("estimate gas", async () => {
  const estimate = await notes.write.estimateGas(9, "nine");
  const receipt = await (await notes.write(9, "nine", { gasLimit: estimate })).wait();
  assert.ok(receipt.gasUsed <= estimate);
});

await check("a revert with a reason", async () => {
  await assert.rejects(notes.fail.staticCall("not today"), { code: "CALL_EXCEPTION", reason: "not today" });
  await assert.rejects(notes.fail.estimateGas("not today"), { code: "CALL_EXCEPTION", reason: "not today" });
});

await check("a custom error with its arguments", async () => {
  await assert.rejects(notes.refuse(42), (error) => {
    assert.equal(error.revert.name, "Refused");
    assert.deepEqual([...error.revert.args], [wallet.address, 42n]);
    return true;
  });
});

await check("a panic", async () => {
  await assert.rejects(notes.divide(1, 0), { reason: "Panic due to DIVIDE_BY_ZERO(18)" });
});

await check("a transaction that reverts has a receipt with status 0", async () => {
  const sent = await notes.fail("on chain", { gasLimit: 50_000_000n });
  await assert.rejects(sent.wait(), (error) => error.code === "CALL_EXCEPTION" && error.receipt.status === 0);
});

await check("many contracts at once, with managed nonces", async () => {
  const managed = factory.connect(new NonceManager(other));
  const made = [];
  for (let n = 0; n < 12; n++) made.push(await managed.deploy(`number ${n}`));
  await Promise.all(made.map((one) => one.waitForDeployment()));
  assert.equal(new Set(made.map((one) => one.target)).size, 12);
  assert.equal(await made[11].notes(0), "number 11");
});

await check("an unlocked account signs on the node", async () => {
  const signer = await provider.getSigner(2);
  const receipt = await (await signer.sendTransaction({ to: other.address, value: 1n })).wait();
  assert.equal(receipt.from, signer.address);
  assert.equal((await signer.signMessage("hello")).length, 132);
});

await check("typed data are signed by the node as by the wallet", async () => {
  const domain = { name: "Notes", version: "1", chainId, verifyingContract: notes.target };
  const types = { Note: [{ name: "key", type: "uint256" }, { name: "text", type: "string" }] };
  const value = { key: 1n, text: "signed" };
  const signature = await (await provider.getSigner(0)).signTypedData(domain, types, value);
  assert.equal(signature, await wallet.signTypedData(domain, types, value));
  assert.equal(verifyTypedData(domain, types, value, signature), wallet.address);
});

await check("a permit of OpenZeppelin's token", async () => {
  const { abi, bytecode } = contract("Coin");
  const coin = await (await new ContractFactory(abi, bytecode, wallet).deploy(wallet.address)).waitForDeployment();
  const [, name, version, chain, verifyingContract] = await coin.eip712Domain();
  const types = {
    Permit: [
      { name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" },
      { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" },
    ],
  };
  const permit = { owner: wallet.address, spender: other.address, value: 10n, nonce: 0n, deadline: 2n ** 40n };
  const domain = { name, version, chainId: chain, verifyingContract };
  const { v, r, s } = (await import("ethers")).Signature.from(await wallet.signTypedData(domain, types, permit));
  await (await coin.connect(other).permit(permit.owner, permit.spender, 10n, permit.deadline, v, r, s)).wait();
  await (await coin.connect(other).transferFrom(wallet.address, other.address, 10n)).wait();
  assert.equal(await coin.balanceOf(other), 10n);
});

await check("events over polling", async () => {
  const heard = new Promise((found) => notes.once("Written", (by, key) => found(key)));
  await until(async () => (await provider.listenerCount()) > 0);
  await provider.getBlockNumber();
  await (await notes.write(20, "polled")).wait();
  assert.equal(await heard, 20n);
});

await check("a legacy transaction", async () => {
  const receipt = await (await wallet.sendTransaction({ to: other.address, value: 1n, type: 0 })).wait();
  assert.equal((await provider.getTransaction(receipt.hash)).type, 0);
});

await check("a WebSocket: blocks, logs and pending transactions", async () => {
  const live = new WebSocketProvider(socket);
  const heard = { blocks: [], texts: [], pending: [] };
  const watched = new Contract(notes.target, abi, live);
  await live.on("block", (number) => heard.blocks.push(number));
  await live.on("pending", (hash) => heard.pending.push(hash));
  await watched.on(watched.filters.Written(null, 31), (event) => heard.texts.push(event.args.text));
  await live.getBlockNumber(); // the subscriptions, which were asked for before, are there
  const sent = await notes.connect(wallet.connect(live)).write(31, "live");
  const receipt = await sent.wait();
  await (await notes.write(32, "of no interest")).wait();
  await until(() => heard.blocks.includes(receipt.blockNumber + 1) && heard.texts.length && heard.pending.length > 1);
  assert.deepEqual(heard.texts, ["live"]);
  assert.equal(heard.pending[0], sent.hash);
  await live.destroy();
});

await check("storage, code, and a transaction that is not there", async () => {
  assert.equal(BigInt(await provider.getStorage(notes.target, 1)), await notes.count());
  assert.equal(await provider.getCode(other), "0x");
  assert.equal(await provider.getTransactionReceipt(id("nothing")), null);
});

await check("a nonce that was used", async () => {
  await assert.rejects(wallet.sendTransaction({ to: other.address, nonce: 0 }), { code: "NONCE_EXPIRED" });
});

await check("more than the balance", async () => {
  await assert.rejects(
    wallet.sendTransaction({ to: other.address, value: parseEther("1000000"), gasLimit: 10_000_000n }),
    { code: "INSUFFICIENT_FUNDS" },
  );
});

finish();
