// filecoin-solidity-api: the deployment script of a contract that uses built-in actors (with ethers).
import { ContractFactory, JsonRpcProvider, parseEther } from "ethers";
import { assert, check, contract, finish, url } from "./check.mjs";

const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const deployer = await provider.getSigner(0);
let native;

await check("deploy", async () => {
  const { abi, bytecode } = contract("Native");
  native = await (await new ContractFactory(abi, bytecode, deployer).deploy()).waitForDeployment();
});

await check("a built-in actor's method is called", async () => {
  assert.equal((await (await native.keepName()).wait()).status, 1);
  assert.equal(await native.kept(), "DataCap");
});

await check("an address is resolved as the node resolves it", async () => {
  const address = await deployer.getAddress();
  const filecoin = await provider.send("Filecoin.EthAddressToFilecoinAddress", [address]);
  const id = await provider.send("Filecoin.StateLookupID", [filecoin, null]);
  assert.equal(`t0${await native.idOf(address)}`, id);
});

await check("FIL is sent to an actor by its id", async () => {
  const masked = "0xff00000000000000000000000000000000000063"; // f099, which burns
  const before = await provider.getBalance(masked);
  await (await native.pay(99, { value: parseEther("1") })).wait();
  assert.ok((await provider.getBalance(masked)) - before >= parseEther("1"));
});

await check("an actor that is not there is told by its error", async () => {
  await assert.rejects(native.pay.staticCall(999_999, { value: 1n }), (error) => error.revert?.name === "Failed");
});

finish();
