// synapse-sdk, configured as for a devnet, reads what foc.mjs has left on the node.
//
//     node synapse.mjs URL REPORT
//
// REPORT is the JSON that foc.mjs prints.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { toChain } from "@filoz/synapse-core/devnet";
import { Synapse } from "@filoz/synapse-sdk";
import { WarmStorageService } from "@filoz/synapse-sdk/warm-storage";
import { createClient, http, isAddressEqual, parseEther } from "viem";
import { mnemonicToAccount } from "viem/accounts";

const [url, path] = process.argv.slice(2);
const left = JSON.parse(readFileSync(path, "utf8"));
const { contracts } = left;
const chain = toChain({
  info: {
    lotus: { host_rpc_url: `${url}/rpc/v1` },
    contracts: {
      multicall3_addr: "0xcA11bde05977b3631167028862bE2a173976CA11",
      mockusdfc_addr: contracts.usdfc,
      filecoin_pay_v1_addr: contracts.payments,
      fwss_service_proxy_addr: contracts.storage,
      fwss_state_view_addr: contracts.view,
      service_provider_registry_proxy_addr: contracts.registry,
      session_key_registry_addr: contracts.sessions,
      pdp_verifier_proxy_addr: contracts.verifier,
      endorsements_addr: contracts.endorsements,
    },
  },
});
const mnemonic = "test test test test test test test test test test test junk";
const [provider, account] = [1, 2].map((addressIndex) => mnemonicToAccount(mnemonic, { addressIndex }));
const synapse = Synapse.create({ chain, transport: http(chain.rpcUrls.default.http[0]), account });
const warm = new WarmStorageService({ client: createClient({ chain, transport: http(), account }) });
const dataSetId = BigInt(left.setId);

const found = await synapse.providers.getProvider({ providerId: 1n });
assert.ok(isAddressEqual(found.serviceProvider, provider.address));
assert.equal(found.pdp.serviceURL, "http://127.0.0.1");
assert.equal(await synapse.providers.isProviderActive({ providerId: 1n }), true);
assert.deepEqual(await warm.getApprovedProviderIds(), [1n]);

const dataSet = await warm.getDataSet({ dataSetId });
assert.ok(isAddressEqual(dataSet.payer, account.address) && dataSet.clientDataSetId === 7n);
assert.equal(await warm.getActivePieceCount({ dataSetId }), 1n);
assert.deepEqual(await warm.getDataSetMetadata({ dataSetId }), { name: "first" });
// Lists of whole data sets have had two more fields since this release of the library: their ids are asked for.
assert.deepEqual(await warm.getClientDataSetIds({ address: account.address }), [dataSetId]);
await warm.validateDataSet({ dataSetId });
assert.equal((await warm.getPDPConfig()).maxProvingPeriod, 240n);

const [rail] = await synapse.payments.getRailsAsPayer();
assert.equal(rail.railId, BigInt(left.railId));
assert.ok((await synapse.payments.accountInfo()).funds < parseEther("1000"));
console.error(`synapse-sdk reads provider ${found.id}, data set ${dataSetId} and rail ${rail.railId}`);
process.exit(0);
