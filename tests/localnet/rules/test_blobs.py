"""Blob transactions on a network under Ethereum's rules: admission, replacement, blocks, fees, persistence.

Figures are computed by hand from EIP-4844, EIP-7691 and EIP-7918.
"""

from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.blobs import BLOB_PROOFS, versioned_hash
from bridge.ethereum.transactions import GAS_PER_BLOB
from hypervisor.messages.message import SignedMessage
from localnet import Network
from localnet.chain import mempool
from localnet.errors import TransactionRefused
from localnet.rpc.node import Node
from localnet.rpc.shapes import block_json, receipt_json, transaction_json
from tests.blobs import GWEI, INFINITY, ZEROS, blob_transaction, random_blob, sidecar, signed_blobs, zeros
from tests.localnet.conftest import Clock, network_fixture
from tests.localnet.rpc.conftest import Client
from tests.runtimes.evm.assembler import assemble, deployer

EMPTY = versioned_hash(INFINITY)
CANCUN_TARGET = 3 * GAS_PER_BLOB


network = network_fixture(lambda: Network(rules="ethereum", clock=Clock()))


cancun = network_fixture(lambda: Network(rules="ethereum", hardfork="cancun", clock=Clock()))


def excess(network: Network) -> int:
    return network.head.settings.excess_blob_gas


def fill(network: Network, blocks: int) -> None:
    """Mine full blocks of Cancun, of six blobs each."""
    alice = network.accounts[0]
    for _ in range(blocks):
        network.submit(zeros(alice, 6, BLOB_PROOFS, nonce=network.head.height))


@pytest.mark.slow
def test_a_blob_transaction_pays_and_burns_its_blob_fee(network: Network) -> None:
    alice, carried = network.accounts[0], sidecar([random_blob(1), ZEROS])
    before = network.balance(alice)
    receipt = network.receipt(network.submit(signed_blobs(alice, carried)))
    assert receipt.succeeded
    assert before - network.balance(alice) == 5 + 21_000 * 2 * GWEI + 2 * GAS_PER_BLOB * 1
    assert (network.head.blob_gas_used, excess(network), network.blob_base_fee) == (2 * GAS_PER_BLOB, 0, 1)
    shown = receipt_json(receipt, network.rules)
    assert (shown["type"], shown["blobGasUsed"], shown["blobGasPrice"]) == ("0x3", "0x40000", "0x1")
    assert shown["effectiveGasPrice"] == hex(2 * GWEI), "the blob fee is no part of it"
    block = block_json(network.chain.index, network.head, network.rules, full=False)
    assert (block["blobGasUsed"], block["excessBlobGas"]) == ("0x40000", "0x0")
    transaction = transaction_json(receipt)
    assert transaction["maxFeePerBlobGas"] == "0xa"
    assert transaction["blobVersionedHashes"] == [f"0x{versioned_hash(one).hex()}" for one in carried.commitments]


@pytest.mark.slow
def test_excess_grows_and_raises_the_blob_base_fee(cancun: Network) -> None:
    fill(cancun, 6)
    assert excess(cancun) == 5 * CANCUN_TARGET
    assert cancun.blob_base_fee == 2, "floor(e^(6 * 393216 / 3338477)) = floor(e^0.707)"
    with pytest.raises(TransactionRefused, match=r"max fee per blob gas less than block blob gas fee: .* 1, .* 2"):
        cancun.submit(zeros(cancun.accounts[1], 1, BLOB_PROOFS, max_fee_per_blob_gas=1))
    alice = cancun.accounts[0]
    before = cancun.balance(alice)
    receipt = cancun.receipt(cancun.submit(zeros(alice, 1, BLOB_PROOFS, nonce=6)))
    assert before - cancun.balance(alice) == 5 + receipt.gas_used * receipt.gas_price + 2 * GAS_PER_BLOB
    assert excess(cancun) == 6 * CANCUN_TARGET
    cancun.mine(2)
    assert excess(cancun) == 4 * CANCUN_TARGET + GAS_PER_BLOB, "one blob, then an empty block"


def test_osaka_bounds_the_excess_by_the_base_fee(network: Network) -> None:
    """A base fee over 16 times the blob base fee: the excess grows by a third of the blob gas used (EIP-7918)."""
    network.submit(zeros(network.accounts[0], 6))
    network.mine()
    assert excess(network) == 6 * GAS_PER_BLOB * 3 // 9


@pytest.mark.slow
def test_contracts_see_hashes_and_blob_base_fee(cancun: Network) -> None:
    fill(cancun, 7)
    program = "0 BLOBHASH 0 SSTORE 1 BLOBHASH 1 SSTORE BLOBBASEFEE 2 SSTORE STOP"
    contract = cancun.send(None, data=deployer(assemble(program))).contract_address
    assert contract is not None
    receipt = cancun.receipt(
        cancun.submit(zeros(cancun.accounts[1], 1, BLOB_PROOFS, to=contract, value=0, gas_limit=200_000))
    )
    assert receipt.succeeded
    words = [Client(Node(cancun))("eth_getStorageAt", f"0x{contract.hex()}", hex(slot), "latest") for slot in range(3)]
    assert [int(word, 16) for word in words] == [int.from_bytes(EMPTY, "big"), 0, 2], "the excess of six full blocks"


@pytest.mark.slow
def test_a_block_takes_as_many_blobs_as_the_fork_allows(network: Network) -> None:
    network.automine = False
    hashes = [network.submit(zeros(account, 4)) for account in network.accounts[:3]]
    cheap = network.submit(zeros(network.accounts[3], 1, max_priority_fee=1))
    network.mine()
    assert network.head.blob_gas_used == 9 * GAS_PER_BLOB
    assert network.head.transactions == (*hashes[:2], cheap)
    network.mine()
    assert network.head.transactions == (hashes[2],)


@pytest.mark.slow
def test_a_blob_fee_cap_below_the_next_blocks_fee_waits(cancun: Network) -> None:
    fill(cancun, 5)
    cancun.automine = False
    alice, bob = cancun.accounts[:2]
    dear = cancun.submit(zeros(alice, 6, BLOB_PROOFS, nonce=5))
    cheap = cancun.submit(zeros(bob, 1, BLOB_PROOFS, max_fee_per_blob_gas=1, max_priority_fee=1))
    cancun.mine()
    assert cancun.head.transactions == (dear,)
    cancun.mine()
    assert not cancun.head.transactions
    assert cancun.mempool.get(cheap) is not None
    cancun.mine()
    assert cancun.head.transactions == (cheap,), "the empty block lowered the fee"


@pytest.mark.slow
def test_a_replacement_needs_twice_each_fee(network: Network) -> None:
    network.automine = False
    alice = network.accounts[0]
    fees = {"max_fee": 20 * GWEI, "max_priority_fee": GWEI, "max_fee_per_blob_gas": 10}
    first = network.submit(zeros(alice, **fees))
    twice: dict[str, Any] = {name: 2 * fee for name, fee in fees.items()}
    for name, words in (("max_fee", "fee cap"), ("max_priority_fee", "premium"), ("max_fee_per_blob_gas", "blob fee")):
        with pytest.raises(TransactionRefused, match=f"replacement transaction underpriced: the {words}.* must be at"):
            network.submit(zeros(alice, **{**twice, name: 2 * fees[name] - 1}))
    second = network.submit(zeros(alice, **twice))
    assert [*(one.hash for one in network.mempool)] == [second] != [first]
    plain = blob_transaction([], type=2, max_fee=10**12, max_priority_fee=10**12, max_fee_per_blob_gas=0)
    with pytest.raises(TransactionRefused, match="the blob fee cap must be at least 40, not 0"):
        network.submit(alice.sign(plain).raw())


@pytest.mark.slow
def test_the_pool_limits_waiting_blobs(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool, "MAX_PENDING_BLOBS", 7)
    network.automine = False
    alice, bob = network.accounts[:2]
    network.submit(zeros(alice, 4))
    with pytest.raises(TransactionRefused, match="txpool is full: 8 blobs would be pending, at most 7 may; mine"):
        network.submit(zeros(bob, 4))
    network.submit(zeros(bob, 3))
    network.mine()
    assert network.submit(zeros(bob, 6, nonce=1))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to": None, "gas_limit": 60_000}, "blob transaction of type create"),
        ({"max_fee_per_blob_gas": 0}, "max fee per blob gas less than block blob gas fee: maxFeePerBlobGas 0, blobB"),
        ({"max_fee_per_blob_gas": 10**20}, "insufficient funds for gas \\* price \\+ value"),
        ({"chain_id": 1}, "invalid chain id for signer"),
    ],
)
def test_an_invalid_blob_transaction_is_refused(network: Network, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(TransactionRefused, match=words):
        network.submit(zeros(network.accounts[0], **fields))


def test_the_sidecar_must_be_of_the_fork(network: Network, cancun: Network) -> None:
    for found, version in ((network, 0), (cancun, 1)):
        with pytest.raises(
            TransactionRefused, match=f"unexpected sidecar version, want: {1 - version}, got: {version}"
        ):
            found.submit(zeros(found.accounts[0], 1, version))


def test_blobs_cannot_come_without_a_sidecar(network: Network) -> None:
    signed = network.accounts[0].sign(blob_transaction([EMPTY]))
    with pytest.raises(TransactionRefused, match="missing sidecar in blob transaction"):
        network.submit(signed.raw())
    message: SignedMessage = network.rules.messages.carry(signed, signed.sender())
    with pytest.raises(TransactionRefused, match="missing sidecar in blob transaction"):
        network.submit_native(message)


def test_filecoin_refuses_blobs_whatever_their_size() -> None:
    with (
        Network(clock=Clock()) as network,
        pytest.raises(TransactionRefused, match="type not supported: type 3, a Filecoin message cannot hold blobs"),
    ):
        network.submit(zeros(network.accounts[0], 6, chain_id=network.chain_id))


@pytest.mark.slow
def test_a_folder_keeps_blobs_and_excess(tmp_path: Path) -> None:
    options: Any = {"rules": "ethereum", "hardfork": "cancun", "clock": Clock()}
    with Network(tmp_path / "state", **options) as network:
        fill(network, 2)
        head = network.head
    with Network(tmp_path / "state", **options) as network:
        assert network.head == head
        assert (head.blob_gas_used, excess(network)) == (6 * GAS_PER_BLOB, CANCUN_TARGET)
        assert network.chain.index.blob(EMPTY) == ZEROS
        network.mine()
        assert excess(network) == 2 * CANCUN_TARGET


@pytest.mark.slow
def test_a_revert_takes_the_excess_back(cancun: Network) -> None:
    snapshot = cancun.snapshot()
    fill(cancun, 6)
    assert cancun.blob_base_fee == 2
    assert cancun.revert(snapshot)
    assert (cancun.blob_base_fee, cancun.head.next_settings.excess_blob_gas) == (1, 0)
    cancun.mine()
    assert excess(cancun) == 0


def test_a_blob_transaction_is_traced_as_it_was_executed(cancun: Network) -> None:
    fill(cancun, 1)
    receipt = cancun.receipt(cancun.head.transactions[0])
    assert receipt.trace.calls[0]["value"] == "5"
