// Deploys a compiled contract with ethers and lets it keep DataCap's name; prints its address.
//
//     CLIENTS=folder-with-node_modules node deploy.mjs URL ARTIFACT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const require = createRequire(resolve(process.env.CLIENTS ?? ".", "package.json"));
const { ContractFactory, JsonRpcProvider } = require("ethers");

const [url, artifact] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(artifact, "utf8"));
const provider = new JsonRpcProvider(url);
const signer = await provider.getSigner(1);

const contract = await new ContractFactory(abi, bytecode.object, signer).deploy();
await contract.waitForDeployment();
const receipt = await (await contract.keep()).wait();

const [event] = receipt.logs.map((log) => contract.interface.parseLog(log));
if (event?.args.name !== "DataCap") throw new Error(`the event says ${event?.args.name}`);
if ((await contract.name.staticCall()) !== "DataCap") throw new Error("the contract answers with another name");
console.log(await contract.getAddress());
provider.destroy();
