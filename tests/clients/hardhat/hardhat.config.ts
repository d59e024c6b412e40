// The template's configuration, with the compiler of the npm package solc and the node as its network.
import { fileURLToPath } from "node:url";
import hardhatToolboxViemPlugin from "@nomicfoundation/hardhat-toolbox-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatToolboxViemPlugin],
  test: { solidity: { forking: { url: process.env.NODE_URL! } } },
  solidity: { version: "0.8.37", path: fileURLToPath(import.meta.resolve("solc/soljson.js")) },
  networks: {
    localnet: { type: "http", chainType: "l1", url: process.env.NODE_URL! },
  },
});
