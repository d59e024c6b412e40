"""JSON-RPC compared with Ethereum's execution-apis.

- The execution-apis' request files, replayed under Filecoin's rules: equal error codes, and results of the same
  shape.
- The execution-apis' request files, replayed under Ethereum's rules: error codes, shapes and values.
- Results of the methods compared with their schemas in the execution-apis.

The chain is not the reference chain, so only shapes are compared, and hashes are replaced. Known differences are listed
with reasons; a listed difference that no longer exists fails the test.

Values are compared field by field on the reference chain's transactions (`reference_chain`), except for those that
depend on the block encoding (hashes, roots, sizes). Known differences are listed with reasons; a listed difference that
no longer exists fails the test. anvil.json holds anvil 1.7.1's responses on a fresh chain.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localnet import Network
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
from localnet.rpc.refused import REASONS, UNDER_ETHEREUMS_RULES
from tests.conformance.rpc_spec import (
    ChainContents,
    Exchange,
    exchanges,
    make_chain,
    method_names,
    replayed,
    schema_violations,
)
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NO_HASH, calldata
from tests.localnet.rpc.conftest import Client

NO_FUNDS = "the sender has funds on the reference chain only"
NO_CONTRACT = "the contract is on the reference chain only"
NOT_FOUND = "what is not there has the code -32001 (EIP-1474), where geth has -32000"
OTHER_CHAIN = "signed for the reference chain's id"
OTHER_TYPE = "blobs, delegations and access lists have no place in a Filecoin message"
NO_OVERRIDE = "a Filecoin block has no gas limit, recipient or precompile that could be overridden"
PROOFS = "the state is Filecoin's, and so are its proofs"
FILECOIN_GAS = "gas is Filecoin's: more is needed, and fees with it"

DIFFERENT = {
    NO_FUNDS: "eth_call/call-callenv-options-eip1559 eth_estimateGas/estimate-with-eip7702",
    NO_CONTRACT: (
        "eth_call/call-revert-abi-error eth_call/call-revert-abi-panic eth_estimateGas/estimate-call-abi-error "
        "eth_estimateGas/estimate-failed-call"
    ),
    NOT_FOUND: (
        "debug_traceBlockByHash/trace-block-not-found debug_traceBlockByHash/trace-genesis "
        "debug_traceTransaction/trace-unknown-tx"
    ),
    "blocks have numbers, and `earliest` is for logs, as in Lotus": "eth_getBlockReceipts/get-block-receipts-earliest",
    "a range may end above the head, as Lotus has it": "eth_getLogs/filter-error-future-block-range",
    OTHER_CHAIN: (
        "eth_sendRawTransaction/send-dynamic-fee-transaction eth_sendRawTransaction/send-legacy-transaction "
        "testing_buildBlockV1/build-block-from-mempool"
    ),
    OTHER_TYPE: (
        "eth_estimateGas/estimate-with-eip4844 eth_estimateGas/estimate-with-eip7702#1 "
        "eth_simulateV1/ethSimulate-blobs "
        "eth_sendRawTransaction/send-access-list-transaction eth_sendRawTransaction/send-blob-tx "
        "eth_sendRawTransaction/send-dynamic-fee-access-list-transaction "
        "eth_getTransactionByHash/get-blob-tx eth_getTransactionByHash/get-setcode-tx "
        "eth_getTransactionReceipt/get-blob-tx eth_getTransactionReceipt/get-setcode-tx"
    ),
    PROOFS: (
        "eth_getProof/get-account-proof-blockhash eth_getProof/get-account-proof-default-block "
        "eth_getProof/get-account-proof-latest eth_getProof/get-account-proof-with-storage"
    ),
    NO_OVERRIDE: (
        "eth_simulateV1/ethSimulate-block-override-reflected-in-contract "
        "eth_simulateV1/ethSimulate-block-override-reflected-in-contract-simple "
        "eth_simulateV1/ethSimulate-fee-recipient-receiving-funds "
        "eth_simulateV1/ethSimulate-move-ecrecover-and-call eth_simulateV1/ethSimulate-move-ecrecover-twice-and-call "
        "eth_simulateV1/ethSimulate-move-ecrecover-and-call-old-and-new "
        "eth_simulateV1/ethSimulate-move-to-address-itself-reference-38022 "
        "eth_simulateV1/ethSimulate-move-two-accounts-to-same-38023 "
        "eth_simulateV1/ethSimulate-move-two-non-precompiles-accounts-to-same "
        "eth_simulateV1/ethSimulate-override-all-in-BlockStateCalls eth_simulateV1/ethSimulate-override-ecrecover "
        "eth_simulateV1/ethSimulate-override-identity eth_simulateV1/ethSimulate-override-sha256 "
        "eth_simulateV1/ethSimulate-run-gas-spending eth_simulateV1/ethSimulate-run-out-of-gas-in-block-38015 "
        "eth_simulateV1/ethSimulate-try-to-move-non-precompile "
        "eth_simulateV1/ethSimulate-use-as-many-features-as-possible"
    ),
    FILECOIN_GAS: (
        "eth_simulateV1/ethSimulate-check-that-nonce-increases eth_simulateV1/ethSimulate-simple-more-params-validate "
        "eth_simulateV1/ethSimulate-simple-validation-fulltx "
        "eth_simulateV1/ethSimulate-two-blocks-with-complete-eth-sends"
    ),
    "parameters that no message can have are malformed": (
        "eth_simulateV1/ethSimulate-instrict-gas-38013 "
        "eth_simulateV1/ethSimulate-overflow-nonce eth_simulateV1/ethSimulate-overflow-nonce-validation"
    ),
}
"""Request files with different responses, by reason."""

FORKS = {"blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash", "withdrawals", "withdrawalsRoot"}
"""Block fields of Ethereum forks that Filecoin does not have."""

MORE = {
    "totalDifficulty", "root", "status", "accessList", "chainId", "maxFeePerGas", "maxPriorityFeePerGas", "yParity",
    "baseFeePerGas", "error", "blobGasPrice", "blockTimestamp",
}  # fmt: skip
"""Fields of the node that the reference client has only for some transactions, blocks and outcomes, or that anvil's
receipts have.
"""

NULLABLE = {"to", "contractAddress"}
"""Fields that are null for other transaction types, since the chain's transactions are not the reference chain's."""


@pytest.fixture(scope="module")
def chain() -> Iterator[ChainContents]:
    with make_chain() as found:
        yield found


def offered() -> list[Exchange]:
    table = set(method_table()) - set(REASONS)
    return [exchange for exchange in exchanges() if exchange.request["method"] in table]


def differences(chain: ChainContents, exchange: Exchange) -> list[str]:
    """Return the differences from the reference client's response; the request's changes are rolled back."""
    snapshot = chain.rpc("evm_snapshot")
    response = chain.rpc.send(json.dumps(chain.own(exchange)).encode())
    chain.rpc("evm_revert", snapshot)
    codes = [result.get("error", {}).get("code") for result in (exchange.response, response)]
    if codes[0] != codes[1]:
        return [f"code {codes[1]}, expected {codes[0]}"]
    if codes[0] is not None or exchange.schema_only:
        return []
    return list(_shape(exchange.response["result"], response["result"], "result"))


def _shape(expected: Any, found: Any, path: str) -> Iterator[str]:
    match expected, found:
        case dict(), dict():
            yield from (f"{path} lacks {name}" for name in expected.keys() - found.keys() - FORKS)
            yield from (f"{path} has {name}" for name in found.keys() - expected.keys() - MORE)
            for name in expected.keys() & found.keys():
                if name not in NULLABLE or None not in (expected[name], found[name]):
                    yield from _shape(expected[name], found[name], f"{path}.{name}")
        case [first, *_], [other, *_]:
            yield from _shape(first, other, f"{path}[0]")
        case _ if type(expected) is not type(found):
            yield f"{path} is {type(found).__name__}, expected {type(expected).__name__}"


@pytest.mark.slow
def test_responses_match_reference_client(chain: ChainContents) -> None:
    found = {exchange.name: words for exchange in offered() if (words := differences(chain, exchange))}
    known = {name for names in DIFFERENT.values() for name in names.split()}
    assert {name: words for name, words in found.items() if name not in known} == {}
    assert known - set(found) == set(), "these no longer differ"
    assert len(offered()) > 200


def test_another_shape_and_another_code_are_noticed() -> None:
    block = {"number": "0x1", "transactions": [{"hash": "0x"}]}
    assert list(_shape(block, {"number": 1, "transactions": [{"hash": "0x"}]}, "r"))
    assert list(_shape(block, {"number": "0x1", "transactions": [{}]}, "r"))
    assert list(_shape(block, {**block, "colour": "red"}, "r"))
    assert not list(_shape(block, block, "r"))


BLOCK_HASH = "blocks are tipsets with hashes of their own, and are not found under those of the files"
BLOBS = "the chain has blob transactions without sidecars, which are not sent"
AFTER_BLOBS = "what follows a transaction with blobs comes a block later, and meets another state"
GAS_LIMIT = "blocks have 30 million gas, which base fees follow, calls ask for, and the second block does not fit into"
OLD_FORK = "the gas, or the fields of blocks, of a fork before Cancun"
FINALITY = "a block is safe and final by its depth"
MOVED = "precompiles cannot be moved"
NONCE = "geth 1.17 refuses a call from an account with nonce 2^64 - 1"
FORKS_TO_COME = "the forks of a chain with blobs and a consensus layer: this one has one, and none of their contracts"

ETHEREUM_DIFFERENT = {
    NOT_FOUND: (
        "debug_traceBlockByHash/trace-block-not-found debug_traceBlockByHash/trace-genesis "
        "debug_traceTransaction/trace-unknown-tx"
    ),
    BLOCK_HASH: (
        "debug_traceBlockByHash/trace-block-with-transactions eth_getBalance/get-balance-blockhash "
        "eth_getBlockByHash/get-block-by-hash eth_getBlockReceipts/get-block-receipts-by-hash "
        "eth_getBlockTransactionCountByHash/get-block-n eth_getBlockTransactionCountByHash/get-genesis "
        "eth_getLogs/filter-with-blockHash-and-topics eth_getLogs/filter-with-blockHash "
        "eth_getProof/get-account-proof-blockhash eth_getTransactionByBlockHashAndIndex/get-block-n "
        "eth_simulateV1/ethSimulate-add-more-non-defined-BlockStateCalls-than-fit-but-now-with-fit "
        "eth_simulateV1/ethSimulate-blockhash-complex eth_simulateV1/ethSimulate-blockhash-simple "
        "eth_simulateV1/ethSimulate-blockhash-start-before-head"
    ),
    BLOBS: ("eth_getTransactionByHash/get-blob-tx eth_getTransactionReceipt/get-blob-tx"),
    AFTER_BLOBS: (
        "eth_getBalance/get-balance-default-block eth_getBalance/get-balance "
        "eth_getBlockByNumber/get-block-cancun-fork eth_getBlockByNumber/get-block-prague-fork "
        "eth_getBlockReceipts/get-block-receipts-latest eth_getStorageAt/get-storage-default-block "
        "eth_getStorageAt/get-storage eth_getStorageValues/get-storage-values-default-block "
        "eth_getStorageValues/get-storage-values-multiple-addresses eth_getStorageValues/get-storage-values"
    ),
    GAS_LIMIT: (
        "eth_baseFee/get-current-basefee eth_call/call-callenv-options-eip1559 eth_call/call-callenv "
        "eth_getLogs/contract-addr eth_getLogs/topic-exact-match eth_getLogs/topic-null-wildcard "
        "eth_getLogs/topic-wildcard eth_getTransactionByHash/get-legacy-tx "
        "eth_getTransactionReceipt/get-legacy-receipt eth_simulateV1/ethSimulate-contract-calls-itself "
        "eth_simulateV1/ethSimulate-empty-validation eth_simulateV1/ethSimulate-fee-recipient-receiving-funds "
        "eth_simulateV1/ethSimulate-get-block-properties "
        "eth_simulateV1/ethSimulate-overwrite-existing-contract"
    ),
    OLD_FORK: (
        "debug_getRawReceipts/get-block-n "
        "eth_getBlockByNumber/get-block-london-fork eth_getBlockByNumber/get-block-merge-fork "
        "eth_getBlockByNumber/get-block-shanghai-fork eth_getBlockByNumber/get-genesis "
        "eth_getBlockReceipts/get-block-receipts-n eth_getTransactionReceipt/get-legacy-contract "
        "eth_getTransactionReceipt/get-legacy-input "
        "eth_simulateV1/ethSimulate-empty-with-block-num-set-firstblock"
    ),
    FINALITY: "eth_getBlockByNumber/get-finalized eth_getBlockByNumber/get-safe",
    PROOFS: (
        "eth_getProof/get-account-proof-default-block eth_getProof/get-account-proof-latest "
        "eth_getProof/get-account-proof-with-storage"
    ),
    MOVED: (
        "eth_simulateV1/ethSimulate-move-ecrecover-and-call "
        "eth_simulateV1/ethSimulate-move-ecrecover-twice-and-call "
        "eth_simulateV1/ethSimulate-move-ecrecover-and-call-old-and-new "
        "eth_simulateV1/ethSimulate-move-to-address-itself-reference-38022 "
        "eth_simulateV1/ethSimulate-move-two-accounts-to-same-38023 "
        "eth_simulateV1/ethSimulate-move-two-non-precompiles-accounts-to-same "
        "eth_simulateV1/ethSimulate-override-ecrecover eth_simulateV1/ethSimulate-override-identity "
        "eth_simulateV1/ethSimulate-override-sha256 eth_simulateV1/ethSimulate-try-to-move-non-precompile "
        "eth_simulateV1/ethSimulate-use-as-many-features-as-possible"
    ),
    NONCE: "eth_simulateV1/ethSimulate-overflow-nonce",
    FORKS_TO_COME: "eth_config/get-config",
}
"""Request files with different responses, by reason."""

NOT_COMPARED = {
    "hash", "blockHash", "parentHash", "mixHash", "stateRoot", "receiptsRoot", "transactionsRoot", "size", "gasLimit",
    "parentBeaconBlockRoot", "difficulty", "totalDifficulty", "extraData", "root", "transactionHash", "withdrawalsRoot",
}  # fmt: skip
"""Fields of the block encoding, and hashes of simulated transactions, which are unsigned."""


@pytest.fixture(scope="module")
def rpc() -> Iterator[Client]:
    with replayed() as found:
        yield found


def ethereum_offered() -> list[Exchange]:
    table = set(method_table()) - (set(REASONS) - UNDER_ETHEREUMS_RULES)
    return [exchange for exchange in exchanges() if exchange.request["method"] in table]


def ethereum_differences(rpc: Client, exchange: Exchange) -> list[str]:
    """Return the differences from the reference client's response; the request's changes are rolled back."""
    snapshot = rpc("evm_snapshot")
    response = rpc.send(json.dumps(exchange.request).encode())
    rpc("evm_revert", snapshot)
    codes = [result.get("error", {}).get("code") for result in (exchange.response, response)]
    if codes[0] != codes[1]:
        return [f"code {codes[1]}, expected {codes[0]}"]
    if codes[0] is not None or exchange.schema_only:
        return []
    expected, found = exchange.response["result"], response["result"]
    return list(_shape(expected, found, "result")) + list(_values(expected, found, "result"))


def _values(expected: Any, found: Any, path: str) -> Iterator[str]:
    match expected, found:
        case dict(), dict():
            for name in expected.keys() & found.keys() - NOT_COMPARED:
                simulated = name == "transactions" and "calls" in expected
                if not simulated:
                    yield from _values(expected[name], found[name], f"{path}.{name}")
        case list(), list() if len(expected) == len(found):
            for place, (one, other) in enumerate(zip(expected, found, strict=True)):
                yield from _values(one, other, f"{path}[{place}]")
        case _ if expected != found:
            yield f"{path} is {str(found)[:80]}, expected {str(expected)[:80]}"


@pytest.mark.slow
def test_ethereum_responses_match_reference_client(rpc: Client) -> None:
    found = {exchange.name: words for exchange in ethereum_offered() if (words := ethereum_differences(rpc, exchange))}
    known = {name for names in ETHEREUM_DIFFERENT.values() for name in names.split()}
    assert {name: words for name, words in found.items() if name not in known} == {}
    assert known - set(found) == set(), "these no longer differ"
    assert len(ethereum_offered()) > 200


FRESH = json.loads((Path(__file__).parent / "rpc" / "anvil.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fresh() -> Iterator[Client]:
    with Network(rules="ethereum") as network, closing(Node(network)) as node:
        yield Client(node)


@pytest.mark.parametrize("said", FRESH, ids=lambda said: said["method"])
def test_a_fresh_chain_answers_as_anvil_does(fresh: Client, said: dict[str, Any]) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": said["method"], "params": said["params"]}
    response = fresh.send(json.dumps(request).encode())
    if "code" in said:
        assert response["error"]["code"] == said["code"]
    else:
        assert response["result"] == said["result"]


MISSING = {
    "debug_getBadBlocks": "the node produces all blocks itself, so none is invalid",
    "testing_buildBlockV1": "builds blocks for Ethereum's consensus",
}
"""Methods that the execution-apis list and the node does not have."""

SCHEMA_DIFFERENT = {
    "eth_getProof": "the proof consists of the nodes of Filecoin's state tree",
    "eth_signTransaction": "the result is the raw transaction, as of anvil and viem, not an object that contains it",
}
"""Methods whose results have another shape."""

EXTENDED = {
    "eth_getBlockReceipts": "blockTimestamp",
    "eth_getTransactionReceipt": "blockTimestamp",
}
"""Additional fields of other nodes' results: those of anvil's receipts."""


def samples(chain: ChainContents) -> dict[str, list[list[Any]]]:
    """Return parameters for each method, several if its results have several shapes."""
    transactions = [[name] for name in (*chain.by_type.values(), NO_HASH)]
    call = {"from": ALICE, "to": chain.contract, "data": calldata(INBOX, "greet", "x")}
    head = [[], ["latest"]][1:]
    return {
        "debug_getRawTransaction": [[chain.by_type["0x2"]]],
        "debug_traceBlockByHash": [[chain.block]],
        "debug_traceBlockByNumber": [["0x2"], ["0x5"]],
        "debug_traceTransaction": [[chain.by_type["0x2"]]],
        "eth_accounts": [[]],
        "eth_baseFee": [[]],
        "eth_blockNumber": [[]],
        "eth_call": [[call], [call, "latest"]],
        "eth_capabilities": [[]],
        "eth_chainId": [[]],
        "eth_coinbase": [[]],
        "eth_createAccessList": [[call, "latest"]],
        "eth_estimateGas": [[call], [{"from": ALICE, "to": BOB}]],
        "eth_feeHistory": [["0x5", "latest", [10, 50]], ["0x2", "0x10", []]],
        "eth_gasPrice": [[]],
        "eth_getBalance": [[ALICE, "latest"], [ALICE, {"blockNumber": "0x1"}]],
        "eth_getBlockByHash": [[chain.block, True], [chain.block, False], [NO_HASH, True]],
        "eth_getBlockByNumber": [["0x0", True], ["0x5", True], ["latest", False], ["0xffff", True], ["safe", False]],
        "eth_getBlockReceipts": [["0x5"], ["0x0"], [chain.block]],
        "eth_getBlockTransactionCountByHash": [[chain.block], [NO_HASH]],
        "eth_getBlockTransactionCountByNumber": [["0x2"], ["0xffff"]],
        "eth_fillTransaction": [[{"from": ALICE, "to": BOB}], [{"from": ALICE, "to": BOB, "gasPrice": "0x30000"}]],
        "eth_getCode": [[chain.contract, "latest"], [ALICE, "latest"]],
        "eth_getLogs": [[{"fromBlock": "0x0", "toBlock": "latest"}], [{"blockHash": chain.block}]],
        "eth_getProof": [[chain.contract, ["0x" + "00" * 32], "latest"]],
        "eth_getStorageAt": [[chain.contract, "0x0", "latest"]],
        "eth_getStorageValues": [[{chain.contract: ["0x0", "0x1"], ALICE: ["0x0"]}, "latest"]],
        "eth_getTransactionByBlockHashAndIndex": [[chain.block, "0x0"], [chain.block, "0x9"]],
        "eth_getTransactionByBlockNumberAndIndex": [["0x2", "0x0"], ["0x3", "0x0"]],
        "eth_getTransactionByHash": transactions,
        "eth_getTransactionCount": [[ALICE, *end] for end in head],
        "eth_getTransactionReceipt": transactions,
        "eth_maxPriorityFeePerGas": [[]],
        "eth_newBlockFilter": [[]],
        "eth_newFilter": [[{"address": ALICE}]],
        "eth_newPendingTransactionFilter": [[]],
        "eth_sign": [[ALICE, "0x1234"]],
        "eth_signTransaction": [[{"from": ALICE, "to": BOB}]],
        "eth_simulateV1": [[{"blockStateCalls": [{"calls": [call]}]}, "latest"]],
        "eth_syncing": [[]],
        "eth_uninstallFilter": [["0x" + "11" * 32]],
        "net_version": [[]],
        "txpool_content": [[]],
        "txpool_contentFrom": [[ALICE]],
        "txpool_status": [[]],
    }


def specified(method: str, result: Any) -> Any:
    """Return a result, or each item of a list, without the field that extends its schema."""
    if isinstance(result, list):
        return [specified(method, item) for item in result]
    if isinstance(result, dict) and method in EXTENDED:
        return {name: value for name, value in result.items() if name != EXTENDED[method]}
    return result


@pytest.mark.slow
def test_results_match_their_schemas(chain: ChainContents) -> None:
    wrong = {}
    for method, calls in samples(chain).items():
        found = [
            words
            for params in calls
            for words in schema_violations(method, specified(method, chain.rpc(method, *params)))
        ]
        if found:
            wrong[method] = found
    assert set(wrong) == set(SCHEMA_DIFFERENT), wrong


@pytest.mark.slow
def test_sending_and_filter_results_match_their_schemas(chain: ChainContents) -> None:
    rpc = chain.rpc
    snapshot = rpc("evm_snapshot")
    filters = [rpc("eth_newFilter", {}), rpc("eth_newBlockFilter"), rpc("eth_newPendingTransactionFilter")]
    raw = rpc("eth_signTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
    results = {"eth_sendRawTransaction": [rpc("eth_sendRawTransaction", raw)]}
    request = {"from": ALICE, "to": chain.contract, "data": calldata(INBOX, "greet", "x")}
    results["eth_sendTransaction"] = [rpc("eth_sendTransaction", request)]
    results["eth_getFilterChanges"] = [rpc("eth_getFilterChanges", name) for name in filters]
    results["eth_getFilterLogs"] = [rpc("eth_getFilterLogs", filters[0])]
    assert all(any(found) for found in results.values())
    rpc("evm_setAutomine", False)
    rpc("eth_sendTransaction", request)
    rpc("eth_sendTransaction", {**request, "nonce": "0x99", "gas": "0x1000000"})
    results["txpool_content"] = [rpc("txpool_content")]
    results["txpool_contentFrom"] = [rpc("txpool_contentFrom", ALICE)]
    results["txpool_status"] = [rpc("txpool_status")]
    rpc("evm_setAutomine", True)
    rpc("evm_revert", snapshot)
    wrong = {
        method: words for method, found in results.items() for one in found if (words := schema_violations(method, one))
    }
    assert not wrong


@pytest.mark.slow
def test_every_method_is_compared_unsupported_or_missing(chain: ChainContents) -> None:
    sent = {"eth_sendRawTransaction", "eth_sendTransaction", "eth_getFilterChanges", "eth_getFilterLogs"}
    offered = set(method_names()) & set(method_table())
    assert offered - set(REASONS) == set(samples(chain)) | sent
    assert set(method_names()) - set(method_table()) == set(MISSING)


@pytest.mark.slow
def test_validator_reports_mismatching_result(chain: ChainContents) -> None:
    block = chain.rpc("eth_getBlockByNumber", "latest", False)
    assert schema_violations("eth_getBlockByNumber", {**block, "number": 5})
    assert schema_violations("eth_getBlockByNumber", {name: block[name] for name in block if name != "hash"})


def test_validator_checks_references_and_required_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a small schema with the validator features that the official schemas need."""
    block = {"type": "object", "required": ["number"], "properties": {"number": {"$ref": "#/components/schemas/uint"}}}
    schemas = {"uint": {"type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$"}}
    monkeypatch.setattr("tests.conformance.rpc_spec._schemas", lambda: schemas)
    monkeypatch.setattr("tests.conformance.rpc_spec._methods", lambda: {"own_block": {"result": {"schema": block}}})
    with Network() as network, closing(Node(network)) as node:
        found = Client(node)("eth_getBlockByNumber", "latest", False)
    assert schema_violations("own_block", found) == []
    assert schema_violations("own_block", {**found, "number": "0x01"})
    assert schema_violations("own_block", {name: found[name] for name in found if name != "number"})
