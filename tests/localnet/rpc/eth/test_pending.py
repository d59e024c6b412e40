"""The tag `pending`: the next block under Ethereum's rules, as in anvil; the head under Filecoin's, as in Lotus."""

from collections.abc import Iterator
from typing import Any

import pytest

from localnet import Network
from localnet.chain import block_production
from localnet.chain.block_production import PendingBlock
from localnet.rpc.node import Node
from tests.localnet.conftest import START, Clock
from tests.localnet.rpc.asking import ALICE, BOB, FUNDS, NOBODY
from tests.localnet.rpc.conftest import Client

READER_CODE = "0x435f52426020525f5460405260605ff3"
"""Code that returns NUMBER, TIMESTAMP and slot 0."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rpc(clock: Clock) -> Iterator[Client]:
    with Network(clock=clock, rules="ethereum") as network:
        client = Client(Node(network))
        client("anvil_setCode", NOBODY, "0x5f355f5500")  # stores the calldata's first word in slot 0
        client("evm_setAutomine", False)
        yield client


def test_pending_block_contains_waiting_transactions(rpc: Client, clock: Clock) -> None:
    clock.now = START + 30
    head = rpc("eth_getBlockByNumber", "latest", False)
    sent = [rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5"}) for _ in range(2)]
    rpc("eth_sendTransaction", {"from": BOB, "to": ALICE, "nonce": "0x7"})  # after a gap
    found = rpc("eth_getBlockByNumber", "pending", False)
    assert (found["number"], found["parentHash"], found["transactions"]) == ("0x1", head["hash"], sent)
    assert (found["gasUsed"], found["timestamp"]) == (hex(42_000), hex(START + 30))
    whole = rpc("eth_getBlockByNumber", "pending", True)
    assert [(one["hash"], one["blockNumber"], one["blockHash"]) for one in whole["transactions"]] == [
        (hash_, "0x1", None) for hash_ in sent
    ]
    assert rpc("eth_getBlockTransactionCountByNumber", "pending") == "0x2"
    assert rpc("eth_getHeaderByNumber", "pending")["gasUsed"] == hex(42_000)
    assert rpc("eth_getBlockByNumber", "latest", False) == head, "nothing of it is kept"
    rpc("evm_mine")
    made = rpc("eth_getBlockByNumber", "latest", True)
    assert {name: value for name, value in made.items() if whole[name] != value}.keys() == {
        "hash", "nonce", "miner", "transactions"
    }  # fmt: skip
    assert [{**one, "blockHash": None} for one in made["transactions"]] == whole["transactions"]


def test_pending_reads_and_calls_see_queued_transactions(rpc: Client, clock: Clock) -> None:
    clock.now = START + 9
    reader = "0x" + "cc" * 20
    rpc("anvil_setCode", reader, READER_CODE)
    word = f"{7:064x}"
    rpc("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "data": "0x" + word, "gas": "0x186a0", "value": "0x3"})
    assert [rpc("eth_getBalance", NOBODY, tag) for tag in ("latest", "pending")] == ["0x0", "0x3"]
    assert [int(rpc("eth_getStorageAt", NOBODY, "0x0", tag), 16) for tag in ("latest", "pending")] == [0, 7]
    assert [rpc("eth_getTransactionCount", ALICE, tag) for tag in ("latest", "pending")] == ["0x0", "0x1"]
    assert rpc("eth_call", {"to": reader}, "pending") == f"0x{1:064x}{START + 9:064x}{0:064x}"
    assert rpc("eth_call", {"to": reader}, "latest") == f"0x{0:064x}{START:064x}{0:064x}"
    assert rpc("eth_getAccountInfo", NOBODY, "pending")["balance"] == "0x3"
    stores = {"from": BOB, "to": NOBODY, "data": "0x" + word}
    estimates = [int(rpc("eth_estimateGas", stores, tag), 16) for tag in ("latest", "pending")]
    base = 21_000 + 31 * 4 + 16 + 2 + 3 + 2
    # A cold slot is set; one is as it should be, but a store needs more than 2,300 gas to be left (EIP-2929, EIP-2200).
    assert estimates == [base + 22_100, base + 2_301]


def test_pending_block_is_executed_once_until_changes(
    rpc: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[int] = []

    def counted(*parts: Any) -> PendingBlock:
        executed.append(1)
        return PendingBlock(*parts)

    monkeypatch.setattr(block_production, "PendingBlock", counted)
    clock.now = START + 5
    reader, override = "0x" + "cc" * 20, {NOBODY: {"balance": "0x63"}}
    rpc("anvil_setCode", reader, READER_CODE)
    rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5"})
    rpc("eth_getBlockByNumber", "pending", True)
    for _ in range(3):
        assert int(rpc("eth_getBalance", BOB, "pending"), 16) == int(FUNDS, 16) + 5
        rpc("eth_call", {"to": NOBODY, "data": f"0x{7:064x}"}, "pending", override)
        rpc("eth_estimateGas", {"from": ALICE, "to": NOBODY, "data": f"0x{7:064x}"}, "pending")
    assert rpc("eth_getBalance", NOBODY, "pending") == "0x0"  # calls leave nothing behind
    assert rpc("eth_getStorageAt", NOBODY, "0x0", "pending") == "0x" + "00" * 32
    assert len(executed) == 1
    changes: list[tuple[str, list[Any]]] = [
        ("eth_sendTransaction", [{"from": ALICE, "to": NOBODY, "value": "0x1"}]),
        ("anvil_setBalance", [reader, "0x9"]),
        ("anvil_setCoinbase", [NOBODY]),
        ("anvil_setNextBlockBaseFeePerGas", [hex(10**9 + 1)]),
        ("evm_mine", []),
    ]
    for count, (method, given) in enumerate(changes, 2):
        rpc(method, *given)
        rpc("eth_getBalance", NOBODY, "pending")
        rpc("eth_getBalance", NOBODY, "pending")
        assert len(executed) == count, method
    clock.now += 2
    assert rpc("eth_call", {"to": reader}, "pending")[66:130] == f"{START + 7:064x}"
    assert len(executed) == len(changes) + 2


def test_under_filecoins_rules_it_is_the_head() -> None:
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        rpc("evm_setAutomine", False)
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5"})
        assert rpc("eth_getBlockByNumber", "pending", True) == rpc("eth_getBlockByNumber", "latest", True)
        assert rpc("eth_getBalance", BOB, "pending") == FUNDS
