// OpenZeppelin's contracts, deployed and used over JSON-RPC (with ethers).
import { Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, NonceManager, ZeroHash, id } from "ethers";
import { assert, check, contract, finish, mnemonic, url } from "./check.mjs";

const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const phrase = Mnemonic.fromPhrase(mnemonic);
const wallet = (index) => HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${index}`).connect(provider);
const [admin, other] = [wallet(0), wallet(1)];
const mined = async (sent) => (await sent).wait();
const made = {};

async function deploy(name, ...args) {
  const { abi, bytecode } = contract(name, "Coin");
  made[name] = await (await new ContractFactory(abi, bytecode, admin).deploy(...args)).waitForDeployment();
  return made[name];
}

await check("ERC-20: transfers, allowances, custom errors", async () => {
  const coin = await deploy("Coin", admin.address);
  await mined(coin.transfer(other, 100n));
  await mined(coin.approve(other, 50n));
  await mined(coin.connect(other).transferFrom(admin, other, 30n));
  assert.deepEqual([await coin.balanceOf(other), await coin.allowance(admin, other)], [130n, 20n]);
  await assert.rejects(coin.connect(other).transferFrom.staticCall(admin, other, 30n), (error) => {
    assert.equal(error.revert.name, "ERC20InsufficientAllowance");
    return error.revert.args[1] === 20n && error.revert.args[2] === 30n;
  });
  assert.equal((await coin.queryFilter(coin.filters.Transfer(admin, other))).length, 2);
});

await check("AccessControl: a role is granted and revoked", async () => {
  const coin = made.Coin;
  const role = await coin.MINTER();
  await assert.rejects(coin.connect(other).mint.staticCall(other, 1n), (error) => error.revert.name.endsWith("UnauthorizedAccount"));
  await mined(coin.grantRole(role, other));
  await mined(coin.connect(other).mint(other, 1n));
  await mined(coin.revokeRole(role, other));
  await assert.rejects(coin.connect(other).mint(other, 1n));
});

await check("ERC-721: a safe mint looks at the receiver", async () => {
  const pictures = await deploy("Picture");
  await mined(pictures.mint(other, 1));
  assert.equal(await pictures.ownerOf(1), other.address);
  await assert.rejects(pictures.mint.staticCall(made.Coin.target, 2), (error) => error.revert.name === "ERC721InvalidReceiver");
  await mined(pictures.connect(other)["safeTransferFrom(address,address,uint256)"](other, admin, 1));
  assert.equal(await pictures.balanceOf(admin), 1n);
});

await check("UUPS: a proxy is upgraded and keeps its state", async () => {
  const logic = await deploy("Box");
  const proxy = await deploy("Proxy", logic.target, logic.interface.encodeFunctionData("initialize", [21]));
  const box = new Contract(proxy.target, contract("BoxV2", "Coin").abi, admin);
  assert.deepEqual([await box.version(), await box.value(), await box.owner()], [1n, 21n, admin.address]);
  await assert.rejects(box.initialize.staticCall(1), (error) => error.revert.name === "InvalidInitialization");
  const next = await deploy("BoxV2");
  await assert.rejects(box.connect(other).upgradeToAndCall(next.target, "0x"), { reason: "not the owner" });
  await mined(box.upgradeToAndCall(next.target, "0x"));
  await mined(box.double());
  assert.deepEqual([await box.version(), await box.value()], [2n, 42n]);
  const slot = BigInt(id("eip1967.proxy.implementation")) - 1n;
  assert.equal(BigInt(await provider.getStorage(proxy.target, slot)), BigInt(next.target));
});

await check("Clones: an address that is known before", async () => {
  const factory = await deploy("Factory");
  const predicted = await factory.predict(made.Box.target, id("salt"));
  const receipt = await mined(factory.make(made.Box.target, id("salt"), 5));
  assert.equal(receipt.logs.map((log) => factory.interface.parseLog(log)).find((log) => log?.name === "Made").args[0], predicted);
  assert.equal(await new Contract(predicted, made.Box.interface, provider).value(), 5n);
  await assert.rejects(factory.make.staticCall(made.Box.target, id("salt"), 5), (error) => error.revert.name === "FailedDeployment");
});

await check("TimelockController: what is scheduled is done after the delay", async () => {
  const timelock = await deploy("Timelock", 3600, [admin.address]);
  await mined(made.Coin.transfer(timelock.target, 10n));
  const data = made.Coin.interface.encodeFunctionData("transfer", [other.address, 10n]);
  const call = [made.Coin.target, 0, data, ZeroHash, ZeroHash];
  await mined(timelock.schedule(...call, 3600));
  await assert.rejects(timelock.execute.staticCall(...call), (error) => error.revert.name === "TimelockUnexpectedOperationState");
  await provider.send("evm_increaseTime", [3600]);
  await provider.send("evm_mine", []);
  const before = await made.Coin.balanceOf(other);
  await mined(timelock.execute(...call));
  assert.equal(await made.Coin.balanceOf(other), before + 10n);
});

await check("ten tokens at once", async () => {
  const { abi, bytecode } = contract("Coin", "Coin");
  const factory = new ContractFactory(abi, bytecode, new NonceManager(wallet(3)));
  const coins = [];
  for (let n = 0; n < 10; n++) coins.push(await factory.deploy(admin.address));
  await Promise.all(coins.map((coin) => coin.waitForDeployment()));
  const supplies = await Promise.all(coins.map((coin) => coin.totalSupply()));
  assert.deepEqual(new Set(supplies), new Set([1000n * 10n ** 18n]));
});

finish();
