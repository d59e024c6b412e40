"""JSON-RPC under Ethereum's rules: the execution-apis' request files, replayed, and anvil's responses.

Values are compared field by field on the reference chain's transactions, except for those that depend on the block
encoding (hashes, roots, sizes). Known differences are listed with reasons; a listed difference that no longer exists
fails the test. anvil.json holds anvil 1.7.1's responses on a fresh chain. `tests/judges` compares with geth's and
Lotus' recorded answers under either rules.
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
from tests.conformance.rpc_spec import Exchange, exchanges, replayed
from tests.localnet.rpc.conftest import Client

NOT_FOUND = "what is not there has the code -32001 (EIP-1474), where geth has -32000"
PROOFS = "the state is Filecoin's, and so are its proofs"
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

DIFFERENT = {
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


def offered() -> list[Exchange]:
    table = set(method_table()) - (set(REASONS) - UNDER_ETHEREUMS_RULES)
    return [exchange for exchange in exchanges() if exchange.request["method"] in table]


def differences(rpc: Client, exchange: Exchange) -> list[str]:
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
def test_responses_match_reference_client(rpc: Client) -> None:
    found = {exchange.name: words for exchange in offered() if (words := differences(rpc, exchange))}
    known = {name for names in DIFFERENT.values() for name in names.split()}
    assert {name: words for name, words in found.items() if name not in known} == {}
    assert known - set(found) == set(), "these no longer differ"
    assert len(offered()) > 200


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
