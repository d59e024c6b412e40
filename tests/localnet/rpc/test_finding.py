"""Search for traces and events by address and range, compared with traces of transactions and logs of receipts."""

from base64 import b64decode, b64encode
from typing import Any

import pytest

from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NOBODY, deploy, greet
from tests.localnet.rpc.conftest import Client, Failed, refusal


def everything(rpc: Client, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rpc("trace_filter", {"fromBlock": "0x0", "toBlock": "latest", **fields})
    return found


class TestTraces:
    """trace_filter and related methods."""

    def test_all_traces_of_a_range_are_those_of_its_blocks(self, rpc: Client) -> None:
        greet(rpc, deploy(rpc, INBOX))
        blocks = [rpc("trace_block", height) for height in ("0x1", "0x2")]
        assert everything(rpc) == blocks[0] + blocks[1]
        assert everything(rpc, after=1, count=1) == (blocks[0] + blocks[1])[1:2]
        assert rpc("trace_filter", {}) == blocks[1]  # the newest block alone

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
        [({"count": 501}, -32000), ({"fromBlock": "0x1", "toBlock": "0x0"}, -32602), ({"fromAddress": "0x"}, -32602),
         ({"fromBlock": "0xffff"}, -32000), ({"fromBlock": "0x0", "toBlock": "0xffff"}, -32000)],
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
        found: list[dict[str, Any]] = rpc("Filecoin.GetActorEventsRaw", {"fromHeight": 0, **fields})
        return found

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
