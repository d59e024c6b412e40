// Adds `connection.filecoin` to connections to the network `filecoin`.

import { NETWORK } from "./config.js";

const hex = (number) => `0x${BigInt(number).toString(16)}`;

function filecoin(provider) {
  const request = (method, ...params) => provider.request({ method, params });
  const toFilecoin = (address) => request("Filecoin.EthAddressToFilecoinAddress", address);
  return {
    request,
    toFilecoin,
    toEthereum: (address) => request("Filecoin.FilecoinAddressToEthAddress", address, "latest"),
    accounts: async () => {
      const addresses = await request("eth_accounts");
      return Promise.all(addresses.map(async (ethereum) => ({ ethereum, filecoin: await toFilecoin(ethereum) })));
    },
    createMiner: (owner, sectorSize = 2_048) => request("hypervisor_createMiner", owner, 1, false, sectorSize),
    mine: (blocks = 1) => request("hardhat_mine", hex(blocks)),
    increaseTime: async (seconds) => {
      await request("evm_increaseTime", hex(seconds));
      await request("evm_mine");
    },
    trace: (hash) => request("hypervisor_trace", hash),
  };
}

export default async () => ({
  async newConnection(context, next) {
    const connection = await next(context);
    if (connection.networkName === NETWORK) connection.filecoin = filecoin(connection.provider);
    return connection;
  },
});
