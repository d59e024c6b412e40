"""The execution-apis' request files, replayed under Filecoin's rules: equal error codes, and results of the same shape.

The chain is not the reference chain, so only shapes are compared, and hashes are replaced. Known differences are listed
with reasons; a listed difference that no longer exists fails the test.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localnet.rpc.method_table import method_table
from localnet.rpc.refused import REASONS
from tests.conformance.rpc.chain import ChainContents, make_chain
from tests.conformance.rpc_spec import Exchange, exchanges

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
        "eth_simulateV1/ethSimulate-simple-validation-fulltx"
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
