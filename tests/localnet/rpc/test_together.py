"""Transactions of one batch share blocks, with the results of separate requests."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Account, Network
from localnet.chain.execution import execute_one
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client

STRANGER = Account.from_key(bytes(31) + b"\x07")


def raw(network: Network, sender: Account, nonce: int, to: Account, value: int = 1, cap: int = 10**9) -> str:
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to.address, value, b"", 10_000_000, cap, 10**5)
    return "0x" + sender.sign(transaction).raw().hex()


def batch(rpc: Client, *requests: tuple[str, list[Any]]) -> list[Any]:
    """Return results, or codes of errors."""
    body = [
        {"jsonrpc": "2.0", "id": at, "method": name, "params": params} for at, (name, params) in enumerate(requests)
    ]
    responses = rpc.send(json.dumps(body).encode())
    assert [result["id"] for result in responses] == list(range(len(requests)))
    return [result["result"] if "result" in result else result["error"]["code"] for result in responses]


def sends(raws: list[str]) -> list[tuple[str, list[Any]]]:
    return [("eth_sendRawTransaction", [each]) for each in raws]


def test_batched_transactions_share_one_block(rpc: Client) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]
    height = network.block_number
    hashes = batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(5)]))
    assert network.block_number == height + 1
    assert ["0x" + transaction.hex() for transaction in network.head.transactions] == hashes
    assert {rpc("eth_getTransactionReceipt", each)["status"] for each in hashes} == {"0x1"}


def test_receipt_is_available_to_next_request_of_batch(rpc: Client) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]
    raws = [raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]
    first, _, nonce, _, _ = batch(
        rpc,
        *sends(raws),
        ("eth_getTransactionCount", ["0x" + alice.address.hex(), "latest"]),
        *sends([raw(network, alice, network.nonce(alice) + 2, bob), "0x00"]),
    )
    assert rpc("eth_getTransactionReceipt", first)["status"] == "0x1"
    assert int(nonce, 16) == network.nonce(alice) - 1


CASES: dict[str, Callable[[Network], list[str]]] = {
    "money that only the one before it gives": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER, 10**18),
        raw(network, STRANGER, 0, network.accounts[1], 5),
        raw(network, network.accounts[0], 1, network.accounts[1]),
    ],
    "bad ones in the middle": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER),
        "0x02",
        raw(network, network.accounts[0], 0, STRANGER, 2),
        raw(network, network.accounts[0], 1, STRANGER, 10**30),
        raw(network, network.accounts[0], 1, STRANGER, cap=1),
        raw(network, network.accounts[0], 1, STRANGER),
    ],
    "nonces the other way round": lambda network: [
        raw(network, network.accounts[0], nonce, STRANGER) for nonce in (2, 1, 0)
    ],
    "the same twice": lambda network: [raw(network, network.accounts[0], 0, STRANGER)] * 2,
    "a gap": lambda network: [raw(network, network.accounts[0], nonce, STRANGER) for nonce in (0, 2)],
    "funds for one of two": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER, 9_999 * 10**18),
        raw(network, network.accounts[0], 1, STRANGER, 9_999 * 10**18),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_batch_results_equal_separate_requests(case: str) -> None:
    with Network(clock=Clock()) as together, Network(clock=Clock()) as alone:
        raws = CASES[case](together)
        one, other = Client(Node(together)), Client(Node(alone))
        assert batch(one, *sends(raws)) == [batch(other, send)[0] for send in sends(raws)]
        for account in (*alone.accounts[:2], STRANGER):
            assert together.nonce(account) == alone.nonce(account)
        assert together.balance(STRANGER) > 0
        assert len(together.mempool) == len(alone.mempool)


def test_message_breaking_the_machine_affects_no_other_message(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    network = rpc.node.network
    alice, bob, carol = network.accounts[:3]
    broken = raw(network, bob, network.nonce(bob), carol, 13)

    def breaking(machine: Any, candidate: Any, **options: Any) -> Any:
        if candidate.bare.value == 13:
            raise OSError("planted")
        return execute_one(machine, candidate, **options)

    monkeypatch.setattr("localnet.chain.execution.execute_one", breaking)
    raws = [
        raw(network, alice, network.nonce(alice), carol),
        broken,
        raw(network, alice, network.nonce(alice) + 1, carol),
    ]
    first, failed, last = batch(rpc, *sends(raws))
    assert failed == -32603
    assert [rpc("eth_getTransactionReceipt", each)["status"] for each in (first, last)] == ["0x1", "0x1"]
    assert len(network.mempool) == 0
    assert network.automine


def test_failing_epoch_ends_the_shared_block(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]

    def breaking(*_: Any) -> Any:
        raise OSError("planted")

    for part in ("end_epoch", "begin_epoch"):  # behind the messages, and before them
        monkeypatch.setattr(f"localnet.chain.chain.{part}", breaking)
        raws = [raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]
        assert batch(rpc, *sends(raws)) == [-32603] * 2
        assert len(network.mempool) == 0  # their client has no hashes
        monkeypatch.undo()
    assert network.automine
    assert batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]))


def test_batched_transactions_wait_without_automine(rpc: Client) -> None:
    network = rpc.node.network
    network.automine = False
    alice, bob = network.accounts[:2]
    hashes = batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(3)]))
    assert len(network.mempool) == 3
    assert [rpc("eth_getTransactionReceipt", each) for each in hashes] == [None] * 3


def asks(network: Network, *senders: int, **fields: str) -> list[tuple[str, list[Any]]]:
    """Return an eth_sendTransaction from each of these accounts."""
    to = "0x" + network.accounts[9].address.hex()
    return [
        ("eth_sendTransaction", [{"from": "0x" + network.accounts[sender].address.hex(), "to": to, **fields}])
        for sender in senders
    ]


@pytest.mark.parametrize("senders", [range(10), [0] * 10, [1, 2, 1, 1, 2]], ids=["ten", "one", "two"])
def test_node_signed_transactions_share_one_block(rpc: Client, senders: list[int]) -> None:
    """Transactions of ten accounts with gas limits share one block, as in anvil."""
    network = rpc.node.network
    height = network.block_number
    hashes = batch(rpc, *asks(network, *senders, gas="0x989680"))
    assert network.block_number == height + 1
    assert {"0x" + transaction.hex() for transaction in network.head.transactions} == {*hashes}
    assert len({*hashes}) == len(senders)
    assert {rpc("eth_getTransactionReceipt", each)["status"] for each in hashes} == {"0x1"}


def test_transaction_without_gas_limit_sees_prior_ones(rpc: Client) -> None:
    network = rpc.node.network
    height = network.block_number
    batch(rpc, *asks(network, 0, 1, gas="0x989680"), *asks(network, 0, 1), *asks(network, 0, 1, gas="0x989680"))
    assert network.block_number == height + 4


def test_raw_and_unsigned_sends_share_block_and_fail_separately(rpc: Client) -> None:
    network = rpc.node.network
    height = network.block_number
    alice, bob = network.accounts[:2]
    wrong = asks(network, 2, gas="0x989680", chainId="0x1")
    gas = {"gas": "0x989680"}
    results = batch(
        rpc, *sends([raw(network, alice, 0, bob)]), *asks(network, 0, **gas), *wrong, *asks(network, 1, **gas)
    )
    blocks = [network.receipt(bytes.fromhex(results[at][2:])).tipset.height for at in (0, 1, 3)]
    assert isinstance(results[2], int)
    assert blocks == [height + 1, height + 1, height + 2]  # after a refusal it is asked again on what those before did
