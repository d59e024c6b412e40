// A contract that calls built-in actors, on the node that the plugin starts.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { network } from "hardhat";
import { parseEther } from "viem";

describe("The network filecoin", async function () {
  const { viem, filecoin } = await network.create("filecoin");
  const reader = await viem.getPublicClient();

  it("runs contracts that call built-in actors", async function () {
    const native = await viem.deployContract("Native");
    const hash = await native.write.keepName();
    assert.equal(await native.read.kept(), "DataCap");
    assert.match(JSON.stringify(await filecoin.trace(hash)), /"runtime":"wasm"/);
  });

  it("translates addresses", async function () {
    const [account] = await filecoin.accounts();
    assert.match(account.filecoin, /^t410f/);
    assert.equal((await filecoin.toEthereum(account.filecoin)).toLowerCase(), account.ethereum.toLowerCase());
  });

  it("creates miners", async function () {
    const [account] = await filecoin.accounts();
    const miner = await filecoin.createMiner(account.ethereum);
    const masked = await filecoin.toEthereum(miner);
    assert.match(masked, /^0xff0000000000000000000000/i);
    const before = await reader.getBalance({ address: masked });
    const native = await viem.deployContract("Native");
    await native.write.pay([BigInt(`0x${masked.slice(-16)}`)], { value: parseEther("1") });
    assert.equal(await reader.getBalance({ address: masked }), before + parseEther("1"));
  });

  it("controls blocks and time", async function () {
    const before = await reader.getBlock();
    await filecoin.mine(3);
    await filecoin.increaseTime(1_000);
    const after = await reader.getBlock();
    assert.equal(after.number, before.number + 4n);
    assert.ok(after.timestamp >= before.timestamp + 1_000n);
  });

  it("shows the node's errors", async function () {
    await assert.rejects(filecoin.request("Filecoin.FilecoinAddressToEthAddress", "f1invalid"), /f1invalid/);
  });
});
