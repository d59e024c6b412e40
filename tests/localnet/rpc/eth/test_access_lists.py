"""`eth_getBlockAccessList` (EIP-7928): the accounts and slots of a block, compared with its transactions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.block import BLOCK_HASHES
from localnet import Network
from localnet.chain.execution import StartedBlock
from localnet.ledger.index import changed_entries
from localnet.replay import replay
from localnet.rpc.node import Node
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal

KEEPER = "0x" + "aa" * 20
KEEPER_CODE = "0x5f355f5560015450" + "00"
"""Stores the calldata's first word in slot 0, and reads slot 1."""
WORD = "0x" + "00" * 31


@pytest.fixture(params=["Osaka+7928", "Amsterdam"])
def access_lists_rpc(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(rules="ethereum", hardfork=request.param) as network:
        client = Client(Node(network))
        client("anvil_setCode", KEEPER, KEEPER_CODE)
        client("evm_setAutomine", False)
        yield client


def send(rpc: Client, to: str, **fields: Any) -> str:
    sent: str = rpc("eth_sendTransaction", {"from": ALICE, "to": to, "gas": "0x3d0900", **fields})
    return sent


def entry(found: list[dict[str, Any]], address: str) -> dict[str, Any]:
    (one,) = (each for each in found if each["address"] == address.lower())
    return one


def test_a_list_has_the_changes_of_each_transaction(access_lists_rpc: Client) -> None:
    parent = access_lists_rpc("eth_getBlockByNumber", "latest", False)["hash"]
    before = int(access_lists_rpc("eth_getBalance", ALICE, "latest"), 16)
    words = [
        send(access_lists_rpc, KEEPER, data=f"{WORD}{word}") for word in ("00", "07")
    ]  # the first one only reads the slot
    sent = [*words, send(access_lists_rpc, BOB, value="0x5"), send(access_lists_rpc, KEEPER, data=f"{WORD}00")]
    access_lists_rpc("evm_mine")
    found = access_lists_rpc("eth_getBlockAccessList", "latest")
    receipts = [access_lists_rpc("eth_getTransactionReceipt", each) for each in sent]
    fees = [int(each["gasUsed"], 16) * int(each["effectiveGasPrice"], 16) for each in receipts]
    balances = [before - sum(fees[:count]) - (5 if count > 2 else 0) for count in (1, 2, 3, 4)]
    assert entry(found, KEEPER)["storageChanges"] == [
        {"key": f"{WORD}00", "changes": [
            {"index": "0x2", "value": f"{WORD}07"}, {"index": "0x4", "value": f"{WORD}00"},
        ]},
    ]  # fmt: skip
    assert entry(found, KEEPER)["storageReads"] == [f"{WORD}01"]
    assert entry(found, BOB)["balanceChanges"] == [
        {"index": "0x3", "value": access_lists_rpc("eth_getBalance", BOB, "latest")}
    ]
    assert entry(found, ALICE)["nonceChanges"] == [{"index": hex(n), "value": hex(n)} for n in (1, 2, 3, 4)]
    assert entry(found, ALICE)["balanceChanges"] == [
        {"index": hex(index), "value": hex(balance)} for index, balance in enumerate(balances, 1)
    ]
    (hashes,) = entry(found, f"0x{BLOCK_HASHES.hex()}")["storageChanges"]
    assert hashes["changes"] == [{"index": "0x0", "value": parent}]
    assert [each["address"] for each in found] == sorted(each["address"] for each in found)


def test_a_pending_block_has_the_list_of_the_block_to_come(access_lists_rpc: Client) -> None:
    send(access_lists_rpc, BOB, value="0x5")
    waiting = access_lists_rpc("eth_getBlockAccessList", "pending")
    header = access_lists_rpc("eth_getBlockByNumber", "pending", False)["blockAccessListHash"]
    access_lists_rpc("evm_mine")
    assert access_lists_rpc("eth_getBlockAccessList", "latest") == waiting
    assert access_lists_rpc("eth_getBlockByNumber", "latest", False)["blockAccessListHash"] == header


def test_calls_and_estimates_are_no_accesses(access_lists_rpc: Client) -> None:
    send(access_lists_rpc, BOB, value="0x5")
    access_lists_rpc("eth_call", {"to": KEEPER, "data": f"{WORD}09"}, "latest")
    access_lists_rpc("eth_estimateGas", {"to": KEEPER, "data": f"{WORD}09"})
    access_lists_rpc("evm_mine")
    assert KEEPER not in {each["address"] for each in access_lists_rpc("eth_getBlockAccessList", "latest")}


def test_a_block_without_transactions_has_only_the_system_call(access_lists_rpc: Client) -> None:
    access_lists_rpc("evm_mine")
    (only,) = access_lists_rpc("eth_getBlockAccessList", "latest")
    assert only["address"] == f"0x{BLOCK_HASHES.hex()}"
    assert access_lists_rpc("eth_getBlockAccessList", "0x0") == []
    genesis = access_lists_rpc("eth_getBlockByNumber", "0x0", False)
    assert genesis["blockAccessListHash"] == "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


def test_an_unknown_block_has_none(access_lists_rpc: Client) -> None:
    assert access_lists_rpc("eth_getBlockAccessList", "0x9") is None


def test_other_rules_have_no_lists() -> None:
    with Network(rules="ethereum", hardfork="Osaka") as network:
        client = Client(Node(network))
        with refusal(4445, "blocks of Osaka have no access list; start the node with --hardfork amsterdam"):
            client("eth_getBlockAccessList", "latest")
        assert "blockAccessListHash" not in client("eth_getBlockByNumber", "latest", False)


def test_workers_do_not_execute_blocks_with_lists() -> None:
    def start(*_: object) -> StartedBlock:
        raise AssertionError("a block was started on workers, which record no accesses")

    with Network(rules="ethereum", hardfork="Osaka+7928") as network:
        network.chain.start_block = start
        client = Client(Node(network))
        client("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": "0x1", "gas": "0x5208"})
        assert entry(client("eth_getBlockAccessList", "latest"), NOBODY)["balanceChanges"][0]["index"] == "0x1"


@pytest.mark.slow
def test_a_replay_compares_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with Network(folder, rules="ethereum", hardfork="Osaka+7928") as network:
        client = Client(Node(network))
        client("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", "gas": "0x5208"})
    assert replay.replay(folder, 1).difference == ""
    replay.close_folder()
    with Network(folder) as network:
        changed = replace(network.head, access_list=b"\xc0")
        network.machine.flush((), changed_entries(changed))
    assert replay.replay(folder, 1).difference.startswith("block access list: account 0x")
    replay.close_folder()


def test_replay_reports_a_damaged_list(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with Network(folder, rules="ethereum", hardfork="Osaka+7928") as network:
        Client(Node(network))("evm_mine")
        damaged = replace(network.head, access_list=b"\xc2\xc0")
        network.machine.flush((), changed_entries(damaged))
    with Network(folder) as network, pytest.raises(Failed, match=r"access list of block 1 is damaged: "):
        Client(Node(network))("eth_getBlockAccessList", "latest")
    assert replay.replay(folder, 1).difference.startswith("the stored access list is damaged: ")
    replay.close_folder()
