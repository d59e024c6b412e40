"""`eth_getBlockAccessList` (EIP-7928): the accounts and slots of a block, compared with its transactions.

Errors and pending blocks: Ethereum's execution APIs after pull request 851.
"""

from base64 import b64decode, b64encode
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
from store.keccak import keccak
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NOBODY, deploy, greet
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


def test_a_pending_block_has_the_hash_of_the_list_to_come(access_lists_rpc: Client) -> None:
    send(access_lists_rpc, BOB, value="0x5")
    assert access_lists_rpc("eth_getBlockAccessList", "pending") is None
    with refusal(-32001):
        access_lists_rpc("debug_getRawBlockAccessList", "pending")
    waiting = access_lists_rpc("eth_getBlockByNumber", "pending", False)["blockAccessListHash"]
    access_lists_rpc("evm_mine")
    assert access_lists_rpc("eth_getBlockByNumber", "latest", False)["blockAccessListHash"] == waiting
    raw = access_lists_rpc("debug_getRawBlockAccessList", "latest")
    assert f"0x{keccak(bytes.fromhex(raw[2:])).hex()}" == waiting
    assert access_lists_rpc("debug_getRawBlockAccessList", "0x0") == "0xc0"


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
    with refusal(-32001):
        access_lists_rpc("debug_getRawBlockAccessList", "0x9")


def test_other_rules_have_no_lists() -> None:
    with Network(rules="ethereum", hardfork="Osaka") as network:
        client = Client(Node(network))
        with refusal(-32001, "blocks of Osaka have no access list; start the node with --hardfork amsterdam"):
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


@pytest.mark.slow
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


def everything(rpc: Client, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rpc("trace_filter", {"fromBlock": "0x0", "toBlock": "latest", **fields})
    return found


class TestTraces:
    """trace_filter and related methods."""

    @pytest.mark.slow
    def test_all_traces_of_a_range_are_those_of_its_blocks(self, rpc: Client) -> None:
        greet(rpc, deploy(rpc, INBOX))
        blocks = [rpc("trace_block", height) for height in ("0x1", "0x2")]
        assert everything(rpc) == blocks[0] + blocks[1]
        assert everything(rpc, after=1, count=1) == (blocks[0] + blocks[1])[1:2]
        assert rpc("trace_filter", {}) == blocks[1]  # the newest block alone

    @pytest.mark.slow
    def test_trace_filter_selects_by_sender_and_receiver(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        greet(rpc, inbox)
        rpc("eth_sendTransaction", {"from": BOB, "to": ALICE, "value": "0x1"})
        assert [trace["action"]["to"] for trace in everything(rpc, fromAddress=[BOB])] == [ALICE]
        assert {trace["type"] for trace in everything(rpc, toAddress=[inbox])} == {"create", "call"}
        assert len(everything(rpc, fromAddress=[ALICE, BOB])) == len(everything(rpc))
        assert everything(rpc, fromAddress=BOB, toAddress=inbox) == []
        assert everything(rpc, fromAddress=[NOBODY]) == []

    @pytest.mark.parametrize(
        ("first", "last", "blocks"),
        [(1, 7, [1, 2, 7]), (2, 4, [2]), (4, 7, [7]), (3, 5, []), (4, 4, []), (3, "latest", [7])],
    )
    def test_trace_filter_skips_null_rounds(self, rpc: Client, first: int, last: int | str, blocks: list[int]) -> None:
        """Lotus' EthTraceFilter skips them, also at both ends; Forest rounds the ends to blocks."""
        for _ in range(2):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        rpc("hypervisor_mineAfterNullRounds", 3)  # heights 3 to 5
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        end = last if isinstance(last, str) else hex(last)
        found = rpc("trace_filter", {"fromBlock": hex(first), "toBlock": end})
        assert [trace["blockNumber"] for trace in found] == blocks

    @pytest.mark.parametrize(
        ("fields", "code"),
        [({"count": 501}, -32000), ({"fromAddress": "0x"}, -32602), ({"fromBlock": "0xffff"}, -32000),
         ({"fromBlock": "0x0", "toBlock": "0xffff"}, -32000)],
    )  # fmt: skip
    def test_invalid_trace_filter_is_refused(self, rpc: Client, fields: dict[str, Any], code: int) -> None:
        rpc("evm_mine")
        with refusal(code):
            rpc("trace_filter", fields)

    def test_a_range_has_a_limit(self, narrow_rpc: Client) -> None:
        narrow_rpc("anvil_mine", 8)
        with pytest.raises(Failed, match="exceeds the limit of 5"):
            everything(narrow_rpc)

    def test_one_transaction_again_and_one_call_of_it(self, rpc: Client) -> None:
        sent = greet(rpc, deploy(rpc, INBOX))
        (of_block,) = rpc("trace_replayBlockTransactions", "latest", ["trace"])
        replayed = rpc("trace_replayTransaction", sent, ["trace"])
        assert {**replayed, "transactionHash": sent} == of_block
        assert rpc("trace_get", sent, []) == rpc("trace_transaction", sent)[0]
        assert rpc("trace_get", sent, [7]) is None
        with pytest.raises(Failed, match="kinds"):
            rpc("trace_replayTransaction", sent, ["vmTrace"])


class TestEvents:
    """Filecoin.GetActorEventsRaw."""

    def ask(self, rpc: Client, **fields: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | None = rpc("Filecoin.GetActorEventsRaw", {"fromHeight": 0, **fields})
        return found or []

    def test_events_are_the_logs_with_their_entries_as_they_are(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        sent = greet(rpc, inbox)
        (event,) = self.ask(rpc)
        (log,) = rpc("eth_getTransactionReceipt", sent)["logs"]
        topics = [entry["Value"] for entry in event["entries"] if entry["Key"].startswith("t")]
        assert ["0x" + b64decode(topic).hex() for topic in topics] == log["topics"]
        assert event["msgCid"] == rpc("Filecoin.EthGetMessageCidByTransactionHash", sent)
        assert event["height"] == int(log["blockNumber"], 16)
        assert event["tipsetKey"] == rpc("Filecoin.ChainHead")["Cids"]
        # lotus chain/index/events.go: the f4 address of an emitter that has one
        assert event["emitter"] == rpc("Filecoin.EthAddressToFilecoinAddress", inbox)

    def test_event_filter_selects_by_emitter_field_and_height(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        sent = greet(rpc, inbox)
        greet(rpc, inbox)
        topic = bytes.fromhex(rpc("eth_getTransactionReceipt", sent)["logs"][0]["topics"][0][2:])
        right = {"t1": [{"codec": 85, "value": b64encode(topic).decode()}]}
        wrong = {"t1": [{"codec": 85, "value": b64encode(bytes(32)).decode()}]}
        assert len(self.ask(rpc, fields=right)) == 2
        assert self.ask(rpc, fields=wrong) == []
        assert len(self.ask(rpc, toHeight=2)) == 1
        assert len(self.ask(rpc, addresses=[rpc("Filecoin.EthAddressToFilecoinAddress", inbox)])) == 2
        assert self.ask(rpc, addresses=["t01"]) == []
        key = rpc("Filecoin.ChainHead")["Cids"]
        assert len(rpc("Filecoin.GetActorEventsRaw", {"tipsetKey": key})) == len(rpc("Filecoin.GetActorEventsRaw")) == 1
        with pytest.raises(Failed, match="cannot be used together"):
            self.ask(rpc, tipsetKey=key)

    @pytest.mark.parametrize(
        ("heights", "error"),
        [
            ({"fromHeight": 2, "toHeight": 1}, r"toHeight \(1\) must be after fromHeight \(2\)"),
            ({"fromHeight": -1}, "fromHeight -1 is below 0"),
        ],
    )
    def test_wrong_range_of_heights_is_refused(self, rpc: Client, heights: dict[str, int], error: str) -> None:
        """Source: lotus node/impl/full/actor_events.go `parseHeightRange`."""
        with pytest.raises(Failed, match=error):
            rpc("Filecoin.GetActorEventsRaw", heights)

    def test_range_of_one_height_or_up_to_the_head_is_accepted(self, rpc: Client) -> None:
        greet(rpc, deploy(rpc, INBOX))
        for heights in ({"fromHeight": 2, "toHeight": 2}, {"fromHeight": 1, "toHeight": -1}, {"fromHeight": 1}):
            assert len(rpc("Filecoin.GetActorEventsRaw", heights)) == 1

    @pytest.mark.parametrize(
        ("first", "last", "heights"), [(2, 6, [2, 6]), (2, 4, [2]), (4, 6, [6]), (3, 4, []), (4, 4, [])]
    )
    def test_logs_filters_and_events_skip_null_rounds(
        self, rpc: Client, first: int, last: int, heights: list[int]
    ) -> None:
        """A range may begin and end with them: it is one of heights (lotus chain/index/events.go)."""
        inbox = deploy(rpc, INBOX)
        greet(rpc, inbox)
        rpc("hypervisor_mineAfterNullRounds", 2)  # heights 3 and 4
        greet(rpc, inbox)
        wanted = {"fromBlock": hex(first), "toBlock": hex(last)}
        installed = rpc("eth_newFilter", wanted)
        for logs in (rpc("eth_getLogs", wanted), rpc("eth_getFilterLogs", installed)):
            assert [int(log["blockNumber"], 16) for log in logs] == heights
        assert [event["height"] for event in self.ask(rpc, fromHeight=first, toHeight=last)] == heights
