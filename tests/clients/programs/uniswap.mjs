// Uniswap v3, deployed and used over JSON-RPC (with ethers).
import { createRequire } from "node:module";
import { Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic } from "ethers";
import { assert, check, contract, finish, mnemonic, url } from "./check.mjs";

const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const owner = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(mnemonic), "m/44'/60'/0'/0/0").connect(provider);
const mined = async (sent) => (await sent).wait();
const core = (name) => createRequire(import.meta.url)(`@uniswap/v3-core/artifacts/contracts/${name}.sol/${name}.json`);
const deploy = async ({ abi, bytecode }, ...args) =>
  (await new ContractFactory(abi, bytecode, owner).deploy(...args)).waitForDeployment();

await check("liquidity is minted with the gas that the node estimates", async () => {
  const factory = await deploy(core("UniswapV3Factory"));
  const liquidity = await deploy(contract("Liquidity"));
  const coins = [await deploy(contract("Coin"), owner.address), await deploy(contract("Coin"), owner.address)];
  for (const coin of coins) await mined(coin.transfer(liquidity, 10n ** 18n));
  await mined(factory.createPool(...coins, 3000));
  const pool = new Contract(await factory.getPool(...coins, 3000), core("UniswapV3Pool").abi, owner);
  await mined(pool.initialize(2n ** 96n));
  await mined(pool.increaseObservationCardinalityNext(3));
  for (let n = 1n; n <= 3n; n++) {
    // A pool writes an observation if the block's time differs from that of the last one.
    assert.equal((await mined(liquidity.mint(pool, -600, 600, 10n ** 6n))).status, 1);
    assert.equal(await pool.liquidity(), n * 10n ** 6n);
  }
});

finish();
