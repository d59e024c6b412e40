// iso-filecoin: what Filecoin's wallets do with a node. Keys, addresses, message CIDs, transfers.
import { HDNodeWallet, JsonRpcProvider, Mnemonic, getBytes, parseEther } from "ethers";
import * as Address from "iso-filecoin/address";
import { Message } from "iso-filecoin/message";
import { RPC } from "iso-filecoin/rpc";
import { Signature } from "iso-filecoin/signature";
import { Token } from "iso-filecoin/token";
import * as Wallet from "iso-filecoin/wallet";
import { assert, check, finish, mnemonic, url } from "./check.mjs";

const rpc = new RPC({ api: `${url}/rpc/v1`, network: "testnet" });
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
const rich = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(mnemonic), "m/44'/60'/0'/0/0");
const account = Wallet.accountFromPrivateKey(getBytes(rich.privateKey), "SECP256K1", "testnet");
const from = account.address.toString();
const fresh = (type) => Wallet.create(type, "testnet");

const result = (answer) => {
  assert.equal(answer.error, undefined, answer.error);
  return answer.result;
};

/// The way of every wallet: nonce, estimate, sign, push, wait.
async function send(sender, to, value) {
  const draft = new Message({ from: sender.address.toString(), to, value: value.toString() });
  const message = await draft.prepare(rpc);
  const signature = Wallet.signMessage(sender.privateKey, sender.type, message);
  assert.ok(Wallet.verify(signature, message.cidBytes(), sender.publicKey));
  const cid = result(await rpc.pushMessage({ msg: message, signature }));
  return { message, cid, look: result(await rpc.waitMsg({ cid, confidence: 0 })) };
}

await check("version and network", async () => {
  assert.ok(result(await rpc.version()).Version);
  assert.equal(typeof result(await rpc.networkName()), "string");
  assert.ok(result(await rpc.chainHead()).Height >= 0);
});

await check("balance and nonce of a native account", async () => {
  assert.equal(result(await rpc.balance(from)), Token.fromFIL(10_000).toAttoFIL().toString());
  assert.equal(result(await rpc.nonce(from)), 0);
});

for (const type of ["SECP256K1", "BLS"]) {
  await check(`FIL is sent to a new account (${type}) and back`, async () => {
    const other = fresh(type);
    const to = other.address.toString();
    const { look, message } = await send(account, to, Token.fromFIL(2).toAttoFIL());
    assert.equal(look.Receipt.ExitCode, 0);
    assert.equal(result(await rpc.balance(to)), Token.fromFIL(2).toAttoFIL().toString());
    assert.equal(result(await rpc.nonce(from)), message.nonce + 1);
    const back = await send(other, from, Token.fromFIL(1).toAttoFIL());
    assert.equal(back.look.Receipt.ExitCode, 0);
  });
}

await check("FIL is sent to an Ethereum address", async () => {
  const eth = HDNodeWallet.createRandom().address;
  const to = Address.fromEthAddress(eth, "testnet").toString();
  const { look } = await send(account, to, Token.fromFIL(3).toAttoFIL());
  assert.equal(look.Receipt.ExitCode, 0);
  assert.equal(await provider.getBalance(eth), parseEther("3"));
});

await check("the node's message CID is the wallet's", async () => {
  const { cid, look, message } = await send(account, fresh("SECP256K1").address.toString(), 1n);
  assert.deepEqual(look.Message, cid);
  const found = await provider.send("Filecoin.ChainGetMessage", [cid]);
  assert.deepEqual(Message.fromLotus({ ...found, Params: found.Params ?? "" }).serialize(), message.serialize());
  const receipt = await provider.send("Filecoin.StateSearchMsg", [null, cid, -1, true]);
  assert.equal(receipt.Receipt.ExitCode, 0);
});

await check("addresses are looked up", async () => {
  const id = result(await rpc.stateLookupID({ address: from }));
  assert.match(id, /^t0\d+$/);
  assert.equal(result(await rpc.stateAccountKey({ address: id })), from);
  const eth = Address.fromEthAddress(rich.address, "testnet").toString();
  assert.equal(result(await rpc.filecoinAddressToEthAddress({ address: eth })), rich.address.toLowerCase());
  const masked = Address.fromString(id).toIdMaskAddress().toString();
  assert.equal(result(await rpc.filecoinAddressToEthAddress({ address: from })), masked.toLowerCase());
  assert.equal(result(await rpc.stateLookupRobustAddress({ address: id })), from);
});

await check("a tipset by its height", async () => {
  const head = result(await rpc.chainHead());
  assert.equal(result(await rpc.getTipSetByHeight({ height: head.Height - 1 })).Height, head.Height - 1);
});

await check("a signature of another key is refused", async () => {
  const [poor, thief] = [fresh("SECP256K1"), fresh("SECP256K1")];
  await send(account, poor.address.toString(), Token.fromFIL(1).toAttoFIL());
  const message = await new Message({ from: poor.address.toString(), to: from, value: "1" }).prepare(rpc);
  const signature = new Signature(Wallet.signMessage(thief.privateKey, thief.type, message));
  assert.match(String((await rpc.pushMessage({ msg: message, signature })).error.message), /signature/i);
});

await check("more than the balance is refused", async () => {
  const poor = fresh("SECP256K1");
  await send(account, poor.address.toString(), Token.fromFIL(1).toAttoFIL());
  await assert.rejects(send(poor, from, Token.fromFIL(50).toAttoFIL()));
});

finish();
