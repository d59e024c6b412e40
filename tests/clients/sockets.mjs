// ethers and viem over a WebSocket: blocks, waiting transactions and logs as they come. Prints what they saw as JSON.
//
//     CLIENTS=folder-with-node_modules node sockets.mjs URL
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(resolve(process.env.CLIENTS ?? ".", "package.json"));
const { createPublicClient, webSocket } = require("viem");
const { JsonRpcProvider, WebSocketProvider } = require("ethers");

const url = process.argv[2];
const socket = url.replace("http", "ws");
const sender = await new JsonRpcProvider(url).getSigner();
const wait = async (done) => {
  for (let tries = 0; tries < 200 && !done(); tries += 1) await new Promise((next) => setTimeout(next, 50));
};
const pay = async () => {
  const sent = await sender.sendTransaction({ to: sender.address, value: 1n });
  return { hash: sent.hash, block: (await sent.wait()).blockNumber };
};

const ethers = { blocks: [], pending: [] };
const provider = new WebSocketProvider(socket);
ethers.chainId = Number((await provider.getNetwork()).chainId);
await provider.on("block", (number) => ethers.blocks.push(number));
await provider.on("pending", (hash) => ethers.pending.push(hash));
const first = await pay();
await wait(() => ethers.blocks.length && ethers.pending.length);
await provider.destroy();

const viem = { blocks: [], pending: [] };
const client = createPublicClient({ transport: webSocket(socket) });
viem.chainId = await client.getChainId();
const stops = [
  client.watchBlocks({ onBlock: (block) => viem.blocks.push(Number(block.number)) }),
  client.watchPendingTransactions({ onTransactions: (hashes) => viem.pending.push(...hashes) }),
];
await new Promise((next) => setTimeout(next, 300)); // viem does not tell when it has subscribed
const second = await pay();
await wait(() => viem.blocks.length && viem.pending.length);
stops.forEach((stop) => stop());

const told = (seen, sent) => ({
  chainId: seen.chainId,
  block: seen.blocks.includes(sent.block),
  pending: seen.pending.includes(sent.hash),
});
console.log(JSON.stringify({ ethers: told(ethers, first), viem: told(viem, second) }));
process.exit(0);
