"""`cast send --blob` on a node under Ethereum's rules and on anvil: equal receipts, blocks, fees and blobs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localnet.accounts import accounts
from localnet.fork.node_client import NodeClient
from tests.blobs import INFINITY, zeros
from tests.clients.conftest import run
from tests.clients.nodes import node_process
from tests.clients.test_anvil import BOB, Both, anvil
from tests.clients.test_ethereum_rules import KEY

FEES = ("--gas-price", "3gwei", "--priority-gas-price", "1gwei", "--blob-gas-price", "20")
TRANSACTION = (
    "hash", "nonce", "blockNumber", "transactionIndex", "from", "to", "value", "gas", "input", "type", "chainId", "v",
    "r", "s", "yParity", "accessList", "maxFeePerBlobGas", "blobVersionedHashes", "maxFeePerGas",
    "maxPriorityFeePerGas", "gasPrice",
)  # fmt: skip
BLOB_RECEIPT = (
    "transactionHash", "blockNumber", "from", "to", "status", "contractAddress", "cumulativeGasUsed", "gasUsed",
    "effectiveGasPrice", "logs", "type", "blobGasUsed", "blobGasPrice",
)  # fmt: skip
BLOB_BLOCK = ("number", "baseFeePerGas", "gasUsed", "blobGasUsed", "excessBlobGas", "transactions")


@pytest.fixture
def both_blobs(tmp_path: Path) -> Iterator[Both]:
    with (
        anvil("--hardfork", "osaka") as theirs,
        node_process(tmp_path, "--rules", "ethereum", "--hardfork", "osaka") as ours,
        NodeClient(theirs) as one,
        NodeClient(ours) as other,
    ):
        found = Both(one, other)
        found.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        yield found


def cast(clients: Path, node: NodeClient, file: Path, *options: str) -> str:
    """Send the file as blobs with cast; return the transaction hash."""
    sent = run(
        clients, "cast", "send", "--async", "--rpc-url", node.url, "--private-key", KEY, "--blob", "--path", file,
        *FEES, *options, BOB, "--value", "7",
    )  # fmt: skip
    return sent.strip()


def assert_equal_on_both(answers: tuple[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    theirs, ours = ({name: result.get(name) for name in names} for result in answers)
    assert ours == theirs
    return ours


def test_cast_sends_blobs_as_to_anvil(clients: Path, both_blobs: Both, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)) * 700)  # two blobs of 31 bytes for each field element
    hashes = [cast(clients, node, file, "--gas-limit", "30000") for node in (both_blobs.theirs, both_blobs.ours)]
    sent = hashes[1]
    assert hashes == [sent, sent]
    shown = assert_equal_on_both(both_blobs.each("eth_getTransactionByHash", sent), TRANSACTION)
    assert (shown["type"], len(shown["blobVersionedHashes"])) == ("0x3", 2)
    receipt = assert_equal_on_both(both_blobs.each("eth_getTransactionReceipt", sent), BLOB_RECEIPT)
    assert (receipt["blobGasUsed"], receipt["status"]) == ("0x40000", "0x1")
    assert_equal_on_both(both_blobs.each("eth_getBlockByNumber", "latest", False), BLOB_BLOCK)
    both_blobs.ask("eth_getBalance", shown["from"], "latest")
    assert len(both_blobs.ask("anvil_getBlobsByTransactionHash", sent)) == 2
    for blob_hash in shown["blobVersionedHashes"]:
        assert len(both_blobs.ask("anvil_getBlobByHash", blob_hash)) == 2 + 2 * (1 << 17)
    estimated = both_blobs.ours.request("eth_getTransactionByHash", cast(clients, both_blobs.ours, file))
    assert estimated["gas"] == hex(21_000), "cast sends the sidecar with its request for an estimate"


def test_a_bad_sidecar_is_refused_by_both(both_blobs: Both) -> None:
    alice = accounts(count=1)[0]
    raw = zeros(alice, 1)
    wrong = raw.replace(INFINITY, bytes(48), 1)
    for refused in (wrong, zeros(alice, 7), zeros(alice, 1, to=None), zeros(alice, 1, max_fee_per_blob_gas=0)):
        both_blobs.refuses("eth_sendRawTransaction", f"0x{refused.hex()}")
