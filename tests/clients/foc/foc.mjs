// Filecoin's onchain cloud, deployed unmodified on a node, and one data set's life: created, filled, proved, paid for.
//
//     node foc.mjs URL ARTIFACTS
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  concat, createPublicClient, createWalletClient, decodeEventLog, defineChain, encodeAbiParameters,
  encodeFunctionData, encodePacked, http, keccak256, parseAbiParameters, parseEther, toHex, zeroAddress,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { merkleTree, pieceCid } from "./pieces.mjs";

const [url, artifacts] = process.argv.slice(2);
const chain = defineChain({
  id: 31415926, name: "localnet", nativeCurrency: { name: "FIL", symbol: "FIL", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const transport = http(url, { timeout: 120_000 });
const reader = createPublicClient({ chain, transport, pollingInterval: 50 });
const mnemonic = "test test test test test test test test test test test junk";
const [deployer, provider, client] = [0, 1, 2].map((addressIndex) =>
  createWalletClient({ chain, transport, account: mnemonicToAccount(mnemonic, { addressIndex }) }),
);
const burnt = "0xff00000000000000000000000000000000000063"; // f099
const PERIOD = 240n, WINDOW = 60n, FINALITY = 10n;
const say = (...words) => console.error(...words);

// ---- how contracts are deployed and called

const artifact = (name) => JSON.parse(readFileSync(`${artifacts}/${name}.json`, "utf8"));

function linked({ bytecode, links }, libraries) {
  for (const [name, places] of Object.values(links).flatMap(Object.entries)) {
    for (const { start, length } of places) {
      const [from, to] = [2 + start * 2, 2 + (start + length) * 2];
      bytecode = bytecode.slice(0, from) + libraries[name].slice(2).toLowerCase() + bytecode.slice(to);
    }
  }
  return bytecode;
}

async function mined(hash) {
  const receipt = await reader.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  return receipt;
}

async function deploy(name, args = [], libraries = {}) {
  const made = artifact(name);
  const hash = await deployer.deployContract({ abi: made.abi, bytecode: linked(made, libraries), args });
  const { contractAddress } = await mined(hash);
  say(`deployed ${name} at ${contractAddress}`);
  return { address: contractAddress, abi: made.abi };
}

async function behindProxy(name, args, functionName, initial = [], libraries = {}) {
  const logic = await deploy(name, args, libraries);
  const data = encodeFunctionData({ abi: logic.abi, functionName, args: initial });
  return { address: (await deploy("ERC1967Proxy", [logic.address, data])).address, abi: logic.abi };
}

const read = (contract, functionName, ...args) => reader.readContract({ ...contract, functionName, args });

/// Simulates a call, sends it, and has its receipt with the events of the contract.
async function call(wallet, contract, functionName, args, value = 0n) {
  const { request, result } = await reader.simulateContract({
    ...contract, functionName, args, value, account: wallet.account,
  });
  const receipt = await mined(await wallet.writeContract(request));
  const events = receipt.logs
    .filter((log) => log.address.toLowerCase() === contract.address.toLowerCase())
    .map((log) => decodeEventLog({ abi: contract.abi, data: log.data, topics: log.topics }));
  return { result, receipt, events };
}

/// How much a transaction sent to f099, which burns. Its balance would not tell: block rewards end there, too.
async function burntBy({ receipt }) {
  const trace = await reader.request({ method: "trace_transaction", params: [receipt.transactionHash] });
  const values = trace.map(({ action }) => (action.to === burnt ? BigInt(action.value) : 0n));
  return values.reduce((sum, value) => sum + value, 0n);
}

/// Lets epochs pass without blocks, up to a block at this height.
async function passUntil(height) {
  const now = await reader.getBlockNumber({ cacheTime: 0 });
  await reader.request({ method: "hypervisor_mineAfterNullRounds", params: [toHex(height - now - 1n)] });
  assert.equal(await reader.getBlockNumber({ cacheTime: 0 }), height);
}

// ---- the contracts

const usdfc = await deploy("Usdfc");
const verifier = await behindProxy("PDPVerifier", [1n, FINALITY], "initialize");
const payments = await deploy("FilecoinPayV1");
const sessions = await deploy("SessionKeyRegistry");
const registry = await behindProxy("ServiceProviderRegistry", [1n], "initialize");
const libraries = {
  SignatureVerificationLib: (await deploy("SignatureVerificationLib")).address,
  Rails: (await deploy("Rails")).address,
};
const storage = await behindProxy(
  "FilecoinWarmStorageService",
  [verifier.address, payments.address, usdfc.address, deployer.account.address, registry.address, sessions.address, 4n],
  "initialize", [PERIOD, WINDOW, deployer.account.address], libraries,
);
const view = await deploy("FilecoinWarmStorageServiceStateView", [storage.address]);
const endorsements = await deploy("ProviderIdSet");
await call(deployer, storage, "setViewContract", [view.address]);
assert.equal(await read(storage, "name"), "Filecoin Warm Storage Service");

// ---- a provider registers, and pays five FIL that are burnt; a client deposits

const offer = {
  serviceURL: toHex("http://127.0.0.1"), minPieceSizeInBytes: "0x80", maxPieceSizeInBytes: "0x100000",
  storagePricePerTibPerDay: "0x01", minProvingPeriodInEpochs: "0x1e", location: toHex("C=CH"),
  paymentTokenAddress: usdfc.address,
};
const registration = await call(provider, registry, "registerProvider", [
  provider.account.address, "provider", "of a local network", 0, Object.keys(offer), Object.values(offer),
], parseEther("5"));
assert.equal(await burntBy(registration), parseEther("5"));
const providerId = registration.result;
await call(deployer, storage, "addApprovedProvider", [providerId]);
await call(deployer, usdfc, "transfer", [client.account.address, parseEther("1000")]);
await call(client, usdfc, "approve", [payments.address, parseEther("1000")]);
await call(client, payments, "deposit", [usdfc.address, client.account.address, parseEther("1000")]);
const allowance = [parseEther("100"), parseEther("100"), 86_400n];
await call(client, payments, "setOperatorApproval", [usdfc.address, storage.address, true, ...allowance]);
say(`provider ${providerId} is registered, five FIL are burnt; the client has deposited 1000 USDFC`);

// ---- a data set with one piece, both by the client's signature

const domain = {
  name: "FilecoinWarmStorageService", version: "1", chainId: chain.id, verifyingContract: storage.address,
};
const MetadataEntry = [{ name: "key", type: "string" }, { name: "value", type: "string" }];
const creation = await client.signTypedData({
  domain, primaryType: "CreateDataSet",
  types: {
    MetadataEntry,
    CreateDataSet: [
      { name: "clientDataSetId", type: "uint256" }, { name: "payee", type: "address" },
      { name: "metadata", type: "MetadataEntry[]" },
    ],
  },
  message: { clientDataSetId: 7n, payee: provider.account.address, metadata: [{ key: "name", value: "first" }] },
});
const { result: setId, events: created } = await call(provider, verifier, "createDataSet", [
  storage.address,
  encodeAbiParameters(parseAbiParameters("address, uint256, string[], string[], bytes"), [
    client.account.address, 7n, ["name"], ["first"], creation,
  ]),
], await read(verifier, "FIL_CLEANUP_DEPOSIT"));
assert.equal(created[0].eventName, "DataSetCreated");

const tree = merkleTree(Array.from({ length: 32 }, () => toHex(randomBytes(31), { size: 32 })));
const piece = { data: pieceCid(tree) };
const addition = await client.signTypedData({
  domain, primaryType: "AddPieces",
  types: {
    MetadataEntry,
    Cid: [{ name: "data", type: "bytes" }],
    PieceMetadata: [{ name: "pieceIndex", type: "uint256" }, { name: "metadata", type: "MetadataEntry[]" }],
    AddPieces: [
      { name: "clientDataSetId", type: "uint256" }, { name: "nonce", type: "uint256" },
      { name: "pieceData", type: "Cid[]" }, { name: "pieceMetadata", type: "PieceMetadata[]" },
    ],
  },
  message: { clientDataSetId: 7n, nonce: 8n, pieceData: [piece], pieceMetadata: [{ pieceIndex: 0n, metadata: [] }] },
});
await call(provider, verifier, "addPieces", [
  setId, zeroAddress, [piece],
  encodeAbiParameters(parseAbiParameters("uint256, string[][], string[][], bytes"), [8n, [[]], [[]], addition]),
]);
assert.equal((await read(verifier, "getPieceCid", setId, 0n)).data, piece.data);
assert.equal(await read(verifier, "getDataSetLeafCount", setId), 32n);
say(`data set ${setId} holds a piece of 32 leaves`);

// ---- a proving period passes; possession is proved with the beacon's randomness

const activation = (await reader.getBlockNumber({ cacheTime: 0 })) + 1n;
const deadline = activation + PERIOD;
const challenge = deadline - 40n;
const { receipt: started } = await call(provider, verifier, "nextProvingPeriod", [setId, challenge, "0x"]);
assert.equal(started.blockNumber, activation);
await passUntil(challenge + 1n);

const seed = await read(verifier, "getRandomness", challenge);
const digest = await reader.request({
  method: "Filecoin.StateGetRandomnessDigestFromBeacon", params: [Number(challenge), null],
});
assert.equal(toHex(seed, { size: 32 }), toHex(Buffer.from(digest, "base64")));
const proofs = [0n, 1n, 2n, 3n, 4n].map((index) => {
  const hash = keccak256(encodePacked(["uint256", "uint256", "uint64"], [seed, setId, index]));
  return tree.prove(Number(BigInt(hash) % 32n));
});
const wrong = [{ ...proofs[0], leaf: concat(["0x01", toHex(0n, { size: 31 })]) }, ...proofs.slice(1)];
await assert.rejects(call(provider, verifier, "provePossession", [setId, wrong], parseEther("1")), /did not verify/);
const proofFee = await read(verifier, "calculateProofFee", setId);
const proved = await call(provider, verifier, "provePossession", [setId, proofs], parseEther("1"));
assert.deepEqual(proved.events.map((event) => event.eventName), ["ProofFeePaid", "PossessionProven"]);
assert.equal(await burntBy(proved), proofFee);
say(`possession is proved with the randomness of epoch ${challenge}`);

// ---- the rail is settled, and the network's share sold for FIL that is burnt

await passUntil(deadline + 5n);
await call(provider, verifier, "nextProvingPeriod", [setId, deadline + PERIOD - 40n, "0x"]);
const { pdpRailId } = await read(view, "getDataSet", setId);
const rail = await read(payments, "getRail", pdpRailId);
const [earned] = await read(payments, "accounts", usdfc.address, provider.account.address);
const { result: settled } = await call(provider, payments, "settleRail", [pdpRailId, deadline]);
const [total, net, , fee, epoch] = settled;
assert.equal(epoch, deadline);
assert.equal(total, rail.paymentRate * PERIOD);
assert.equal(net, total - fee);
const [after] = await read(payments, "accounts", usdfc.address, provider.account.address);
assert.equal(after - earned, net);
const [startPrice] = await read(payments, "auctionInfo", usdfc.address);
const [fees] = await read(payments, "accounts", usdfc.address, payments.address);
const sale = await call(
  deployer, payments, "burnForFees", [usdfc.address, deployer.account.address, fees], startPrice,
);
assert.equal(await burntBy(sale), startPrice);
say(`the rail is settled up to epoch ${epoch}: ${net} to the provider; fees of ${fees} were sold for burnt FIL`);

const addresses = { usdfc, verifier, payments, sessions, registry, storage, view, endorsements };
console.log(JSON.stringify({
  setId: String(setId), railId: String(pdpRailId), settled: String(total),
  contracts: Object.fromEntries(Object.entries(addresses).map(([name, { address }]) => [name, address])),
}));
process.exit(0);
