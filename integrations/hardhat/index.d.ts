import type { HardhatPlugin } from "hardhat/types/plugins";

/** Options of the node that the plugin starts. */
export interface HypervisorUserConfig {
  /** Path of the `hypervisor` command (default: found on the PATH). */
  command?: string;
  /** More options of `hypervisor node`, such as `["--network", "nv27"]`. */
  args?: string[];
  /** Throw from sending a transaction whose execution fails, as Hardhat's own network does (default: false). */
  throwOnTransactionFailures?: boolean;
}

/** Filecoin methods of a connection to the network `filecoin`. */
export interface FilecoinConnection {
  /** Send a JSON-RPC request, such as `Filecoin.StateGetActor`. */
  request(method: string, ...params: unknown[]): Promise<any>;
  /** Return the Filecoin address of an Ethereum address. */
  toFilecoin(address: string): Promise<string>;
  /** Return the Ethereum address of a Filecoin address; an ID becomes a masked address. */
  toEthereum(address: string): Promise<string>;
  /** Return the Ethereum and Filecoin address of each unlocked account. */
  accounts(): Promise<Array<{ ethereum: string; filecoin: string }>>;
  /** Create a storage miner that an account owns, and return its addresses. */
  createMiner(owner: string, sectorSize?: number): Promise<any>;
  /** Mine blocks. */
  mine(blocks?: number): Promise<void>;
  /** Mine a block whose timestamp is later by this number of seconds. */
  increaseTime(seconds: number): Promise<void>;
  /** Return the call tree of a transaction across both runtimes. */
  trace(hash: string): Promise<any>;
}

declare module "hardhat/types/config" {
  interface HardhatUserConfig {
    hypervisor?: HypervisorUserConfig;
  }
  interface HardhatConfig {
    hypervisor: Required<HypervisorUserConfig>;
  }
}

declare module "hardhat/types/network" {
  interface NetworkConnection<ChainTypeT extends ChainType | string = DefaultChainType> {
    /** Filecoin methods. Only present on the network `filecoin`. */
    filecoin: FilecoinConnection;
  }
}

declare const plugin: HardhatPlugin;
export default plugin;
