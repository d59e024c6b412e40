// Hardhat's network helpers and assertions on a node that is not Hardhat's.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { network } from "hardhat";
import { parseEther } from "viem";

describe("Network helpers", async function () {
  const { viem, networkHelpers } = await network.create();
  const reader = await viem.getPublicClient();
  const [first, second] = await viem.getWalletClients();
  const stranger = "0x00000000000000000000000000000000000000aa";

  it("mine, mineUpTo", async function () {
    const height = await networkHelpers.time.latestBlock();
    await networkHelpers.mine(3);
    assert.equal(await networkHelpers.time.latestBlock(), height + 3);
    await networkHelpers.mineUpTo(height + 10);
    assert.equal(await networkHelpers.time.latestBlock(), height + 10);
  });

  it("time.increase, time.increaseTo, time.setNextBlockTimestamp", async function () {
    const before = await networkHelpers.time.latest();
    await networkHelpers.time.increase(3600);
    assert.ok((await networkHelpers.time.latest()) >= before + 3600);
    await networkHelpers.time.increaseTo(before + 10_000);
    assert.equal(await networkHelpers.time.latest(), before + 10_000);
    await networkHelpers.time.setNextBlockTimestamp(before + 20_000);
    await networkHelpers.mine();
    assert.equal(await networkHelpers.time.latest(), before + 20_000);
  });

  it("takeSnapshot", async function () {
    const snapshot = await networkHelpers.takeSnapshot();
    await networkHelpers.setBalance(stranger, parseEther("3"));
    await snapshot.restore();
    assert.equal(await reader.getBalance({ address: stranger }), 0n);
  });

  it("setBalance, setNonce, setCode, setStorageAt", async function () {
    await networkHelpers.setBalance(stranger, 5n);
    assert.equal(await reader.getBalance({ address: stranger }), 5n);
    await networkHelpers.setNonce(stranger, 9);
    assert.equal(await reader.getTransactionCount({ address: stranger }), 9);
    const place = "0x00000000000000000000000000000000000000cc";
    await networkHelpers.setCode(place, "0x5f545f5260205ff3"); // returns slot 0
    await networkHelpers.setStorageAt(place, 0, 42);
    assert.equal(BigInt(await networkHelpers.getStorageAt(place, 0)), 42n);
    assert.equal(BigInt((await reader.call({ to: place })).data!), 42n);
  });

  it("impersonateAccount", async function () {
    await networkHelpers.setBalance(stranger, parseEther("1"));
    await networkHelpers.impersonateAccount(stranger);
    const acting = await viem.getWalletClient(stranger);
    const counter = await viem.deployContract("Counter", [], { client: { wallet: acting } });
    await counter.write.inc();
    assert.equal(await counter.read.x(), 1n);
    await networkHelpers.stopImpersonatingAccount(stranger);
  });

  it("loadFixture", async function () {
    const fixture = async () => ({ counter: await viem.deployContract("Counter") });
    const { counter } = await networkHelpers.loadFixture(fixture);
    await counter.write.incBy([5n]);
    assert.equal(await counter.read.x(), 5n);
    const again = await networkHelpers.loadFixture(fixture);
    assert.equal(again.counter.address, counter.address);
    assert.equal(await again.counter.read.x(), 0n);
  });

  it("assertions of viem: reverts, balances, events", async function () {
    const counter = await viem.deployContract("Counter");
    await viem.assertions.revertWith(counter.write.incBy([0n]), "incBy: increment should be positive");
    await viem.assertions.emitWithArgs(counter.write.incBy([4n]), counter, "Increment", [4n]);
    await viem.assertions.balancesHaveChanged(
      first.sendTransaction({ to: second.account.address, value: 7n }),
      [{ address: second.account.address, amount: 7n }],
    );
  });
});
