// web3.js 4: its getting-started pages.
import { Web3, ContractExecutionError } from "web3";
import { assert, chainId, check, contract, finish, mnemonic, socket, until, url } from "./check.mjs";
import { mnemonicToAccount } from "viem/accounts";
import { toHex } from "viem";

const web3 = new Web3(url);
const account = web3.eth.accounts.wallet.add(toHex(mnemonicToAccount(mnemonic).getHdKey().privateKey))[0];
const { abi, bytecode } = contract("Notes");
const send = (method, more = {}) => method.send({ from: account.address, ...more });
let notes;

await check("chain and accounts", async () => {
  assert.equal(await web3.eth.getChainId(), BigInt(chainId));
  assert.equal((await web3.eth.getAccounts())[0], account.address);
  assert.ok(await web3.eth.net.isListening());
  assert.equal((await web3.eth.getBlock("latest")).number, await web3.eth.getBlockNumber());
  assert.ok((await web3.eth.calculateFeeData()).maxFeePerGas > 0n);
});

await check("transfer with a wallet", async () => {
  const to = web3.eth.accounts.create().address;
  const receipt = await web3.eth.sendTransaction({ from: account.address, to, value: web3.utils.toWei("1", "ether") });
  assert.equal(receipt.status, 1n);
  assert.equal(await web3.eth.getBalance(to), 10n ** 18n);
});

await check("a transaction that is signed here and sent raw", async () => {
  const to = web3.eth.accounts.create().address;
  const signed = await account.signTransaction({
    to, value: 5, gas: await web3.eth.estimateGas({ from: account.address, to, value: 5 }), chainId,
    gasPrice: await web3.eth.getGasPrice(), nonce: await web3.eth.getTransactionCount(account.address),
  });
  const { transactionHash } = await web3.eth.sendSignedTransaction(signed.rawTransaction);
  assert.equal(transactionHash, signed.transactionHash);
  assert.equal(await web3.eth.getBalance(to), 5n);
});

await check("deploy a contract", async () => {
  const method = new web3.eth.Contract(abi).deploy({ data: bytecode, arguments: ["first"] });
  notes = await send(method, { gas: await method.estimateGas({ from: account.address }) });
  assert.equal(await notes.methods.notes(0).call(), "first");
});

await check("write, and read the event from the receipt", async () => {
  const receipt = await send(notes.methods.write(7, "seven"), { value: 3 });
  const { by, key, text, value } = receipt.events.Written.returnValues;
  assert.deepEqual([by, key, text, value], [account.address, 7n, "seven", 3n]);
});

await check("past events by a filter", async () => {
  const events = await notes.getPastEvents("Written", { filter: { key: 7 }, fromBlock: 0, toBlock: "latest" });
  assert.deepEqual(events.map((event) => event.returnValues.text), ["seven"]);
});

await check("a revert with a reason, a custom error with its arguments", async () => {
  await assert.rejects(notes.methods.fail("not today").call(), (error) => {
    assert.ok(error instanceof ContractExecutionError);
    return error.cause.data.startsWith("0x08c379a0");
  });
  await assert.rejects(notes.methods.refuse(42).call({ from: account.address }), (error) => {
    assert.equal(error.cause.errorName, "Refused");
    assert.equal(error.cause.errorArgs.code, 42n);
    return true;
  });
});

await check("several requests in a batch", async () => {
  const batch = new web3.BatchRequest();
  const answers = [
    batch.add({ method: "eth_blockNumber", params: [] }),
    batch.add({ method: "eth_chainId", params: [] }),
  ];
  await batch.execute();
  assert.equal(BigInt(await answers[1]), BigInt(chainId));
});

await check("many contracts, one after another", async () => {
  const made = new Set();
  for (let n = 0; n < 5; n++) {
    made.add((await send(new web3.eth.Contract(abi).deploy({ data: bytecode, arguments: [`${n}`] }))).options.address);
  }
  assert.equal(made.size, 5);
});

await check("a WebSocket: blocks and logs", async () => {
  const live = new Web3(socket);
  const heard = { blocks: [], texts: [] };
  const blocks = await live.eth.subscribe("newBlockHeaders");
  blocks.on("data", (block) => heard.blocks.push(block.number));
  const watched = new live.eth.Contract(abi, notes.options.address);
  const events = watched.events.Written({ filter: { key: 31 } });
  events.on("data", (event) => heard.texts.push(event.returnValues.text));
  await until(() => events.id);
  const receipt = await send(notes.methods.write(31, "live"));
  await until(() => heard.blocks.includes(receipt.blockNumber) && heard.texts.length);
  assert.deepEqual(heard.texts, ["live"]);
  live.provider.disconnect();
});

finish();
