// Filecoin's actors, in tests on the node, which Hardhat's own simulated network does not have.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { network } from "hardhat";
import { parseEther } from "viem";

describe("Actors", async function () {
  const { viem } = await network.create();
  const reader = await viem.getPublicClient();

  it("answer a contract that uses filecoin-solidity-api", async function () {
    const native = await viem.deployContract("Native");
    await native.write.keepName();
    assert.equal(await native.read.kept(), "DataCap");
  });

  it("are paid by a contract", async function () {
    const native = await viem.deployContract("Native");
    const masked = "0xff00000000000000000000000000000000000064"; // f0100
    const before = await reader.getBalance({ address: masked });
    await native.write.pay([100n], { value: parseEther("1.5") });
    assert.equal(await reader.getBalance({ address: masked }), before + parseEther("1.5"));
  });

  it("see contracts under their IDs", async function () {
    const native = await viem.deployContract("Native");
    assert.ok((await native.read.idOf([native.address])) >= 100n);
  });
});
