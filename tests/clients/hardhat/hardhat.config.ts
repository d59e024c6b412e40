// The template's configuration, with npm's solc for its compiler and the node for its network.
import hardhatToolboxViemPlugin from "@nomicfoundation/hardhat-toolbox-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatToolboxViemPlugin],
  test: { solidity: { forking: { url: process.env.NODE_URL! } } },
  solidity: { version: "0.8.37", path: process.env.SOLC },
  networks: {
    localnet: { type: "http", chainType: "l1", url: process.env.NODE_URL! },
  },
});
