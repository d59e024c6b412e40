// Hardhat 3 plugin: the network `filecoin`, a `hypervisor node` that each Hardhat process starts for itself.

export default {
  id: "hardhat-fvm",
  npmPackage: "hardhat-fvm",
  hookHandlers: {
    config: () => import("./config.js"),
    network: () => import("./network.js"),
  },
};
