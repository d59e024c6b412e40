// Replaces `useProvider.ts` of EDR's hardhat-tests: nodes that FVM_PEER_NODE starts take the place of Hardhat's network.
// Tests with the same options share a node, which returns to its first state before each of them.
import { privateToAddress, toBytes } from "@nomicfoundation/ethereumjs-util";
import { ChildProcess, spawn } from "child_process";
import { existsSync, mkdtempSync, readFileSync } from "fs";
import { BackwardsCompatibilityProviderAdapter } from "hardhat/internal/core/providers/backwards-compatibility";
import { HttpProvider } from "hardhat/internal/core/providers/http";
import { tmpdir } from "os";
import { join } from "path";

import { FakeModulesLogger } from "./fakeLogger";

interface Running {
  url: string;
  snapshot: unknown;
}

const HARDHATS_COINBASE = "0xc014ba5ec014ba5ec014ba5ec014ba5ec014ba5e";
const nodes = new Map<string, Promise<Running>>();
const children: ChildProcess[] = [];
after("Stop nodes", () => children.forEach((child) => child.kill()));

// The node has no account but those of the test, which it impersonates: it cannot be given their keys.
class NodeProvider extends HttpProvider {
  constructor(
    url: string,
    private readonly _accounts: string[],
  ) {
    super(url, "localhost");
  }

  public async request(args: { method: string; params?: any }): Promise<any> {
    return args.method === "eth_accounts" ? this._accounts : super.request(args);
  }
}

async function start(options: string[]): Promise<Running> {
  const ready = join(mkdtempSync(join(tmpdir(), "peer-")), "url");
  const common = ["node", "--rules", "ethereum", "--port", "0", "--ready-file", ready, "--accounts", "1"];
  children.push(spawn(process.env.FVM_PEER_NODE!, [...common, ...options], { stdio: "ignore" }));
  while (!existsSync(ready) || readFileSync(ready, "utf8").trim() === "") {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { url: readFileSync(ready, "utf8").trim(), snapshot: undefined };
}

export interface UseProviderOptions {
  [name: string]: any;
}

export function useProvider(asked: UseProviderOptions = {}) {
  beforeEach("Initialize provider", async function () {
    this.timeout(60_000);
    const defaults = require("./providers");
    const hardfork = (asked.hardfork ?? defaults.DEFAULT_HARDFORK).toLowerCase();
    const options = [
      ...["--hardfork", hardfork === "merge" ? "paris" : hardfork],
      ...["--chain-id", String(asked.chainId ?? defaults.DEFAULT_CHAIN_ID)],
      ...["--gas-limit", String(asked.blockGasLimit ?? defaults.DEFAULT_BLOCK_GAS_LIMIT)],
      ...["--order", asked.mempool?.order === "fifo" ? "fifo" : "fees"],
    ];
    if (asked.initialBaseFeePerGas !== undefined) {
      options.push("--block-base-fee-per-gas", String(asked.initialBaseFeePerGas));
    }
    const key = options.join(" ");
    const accounts = (asked.accounts ?? defaults.DEFAULT_ACCOUNTS).map((account: any) => ({
      address: `0x${Buffer.from(privateToAddress(toBytes(account.privateKey))).toString("hex")}`,
      balance: account.balance,
    }));
    if (!nodes.has(key)) nodes.set(key, start(options));
    const node = await nodes.get(key)!;
    const http = new NodeProvider(
      node.url,
      accounts.map((account: any) => account.address),
    );
    const ask = (method: string, ...params: unknown[]) => http.request({ method, params });

    if (node.snapshot !== undefined) await ask("evm_revert", node.snapshot);
    node.snapshot = await ask("evm_snapshot");
    for (const { address, balance } of accounts) {
      await ask("anvil_setBalance", address, `0x${BigInt(balance).toString(16)}`);
      await ask("anvil_impersonateAccount", address);
    }
    await ask("anvil_setCoinbase", asked.coinbase ?? HARDHATS_COINBASE);
    await ask("evm_setAutomine", asked.mining?.auto ?? true);

    this.logger = new FakeModulesLogger();
    this.provider = new BackwardsCompatibilityProviderAdapter(http);
    this.hardhatNetworkProvider = http;
    this.isEdr = true;
    const { hostname, port } = new URL(node.url);
    (this as any).serverInfo = { address: hostname, port: Number(port) };
  });

  afterEach("Remove provider", async function () {
    await this.provider?.send("evm_setIntervalMining", [0]);
  });
}
