"""Results of the methods compared with their schemas in the execution-apis."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from localnet import Network
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
from localnet.rpc.refused import REASONS
from tests.conformance.rpc.chain import ChainContents, make_chain
from tests.conformance.rpc_spec import method_names, schema_violations
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NO_HASH, calldata
from tests.localnet.rpc.conftest import Client

MISSING = {
    "debug_getBadBlocks": "the node produces all blocks itself, so none is invalid",
    "debug_getRawBlockAccessList": "Filecoin's blocks have no access lists",
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


@pytest.fixture(scope="module")
def chain() -> Iterator[ChainContents]:
    with make_chain() as found:
        yield found


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


def test_every_method_is_compared_unsupported_or_missing(chain: ChainContents) -> None:
    sent = {"eth_sendRawTransaction", "eth_sendTransaction", "eth_getFilterChanges", "eth_getFilterLogs"}
    offered = set(method_names()) & set(method_table())
    assert offered - set(REASONS) == set(samples(chain)) | sent
    assert set(method_names()) - set(method_table()) == set(MISSING)


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
