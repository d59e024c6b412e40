// Hardhat 3 plugin for the network `filecoin`. Each Hardhat process starts its own `hypervisor node`.

export default {
  id: "hardhat-fvm",
  npmPackage: "hardhat-fvm",
  hookHandlers: {
    config: () => import("./config.js"),
    network: () => import("./network.js"),
  },
};
