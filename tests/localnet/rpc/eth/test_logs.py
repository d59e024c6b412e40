"""eth_getLogs and filters."""

import pytest

from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import Gas, MethodNumber, TokenAmount, encode_bigint
from localnet import Network
from localnet.rpc import filters
from localnet.rpc.filters import MAX_FILTERS
from localnet.rpc.node import Node
from store.codec import encode
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, NO_HASH, NOBODY, deploy, greet
from tests.localnet.rpc.conftest import Client, Failed, refusal

# Fields of lotus' objects (chain/types/ethtypes).
LOG = "address data topics removed logIndex transactionIndex transactionHash blockHash blockNumber"


class TestLogs:
    """Logs by block, range, address and topic; filters between two polls."""

    def test_a_log_has_the_fields_of_lotus(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        sent = greet(rpc, inbox)
        (found,) = rpc("eth_getLogs", {"address": inbox, "fromBlock": "earliest"})
        assert set(found) == {*LOG.split(), "blockTimestamp"}  # the last one is the execution-apis'
        assert (found["address"], found["transactionHash"], found["removed"]) == (inbox, sent, False)
        assert rpc("eth_getTransactionReceipt", sent)["logs"] == [found]
        assert int(rpc("eth_getTransactionReceipt", sent)["logsBloom"], 16) > 0

    def test_log_index_is_block_wide(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        rpc("evm_setAutomine", False)
        sent = [greet(rpc, inbox, gas="0x5000000") for _ in range(2)]
        rpc("evm_mine")
        receipts = [rpc("eth_getTransactionReceipt", entry) for entry in sent]
        assert [receipt["logs"][0]["logIndex"] for receipt in receipts] == ["0x0", "0x1"]
        assert [receipt["transactionIndex"] for receipt in receipts] == ["0x0", "0x1"]
        assert [log["logIndex"] for log in rpc("eth_getLogs", {})] == ["0x0", "0x1"]

    def test_log_index_counts_events_of_built_in_actors(self, before_nv29: Network) -> None:
        """Lotus numbers all events of a tipset (chain/index/events.go); the registry emits verifier-balance."""
        rpc, root = Client(Node(before_nv29)), f"f0{VERIFIED_REGISTRY_ROOT}"
        inbox = deploy(rpc, INBOX)
        before_nv29.set_balance(root, 10**18)
        rpc("evm_setAutomine", False)
        verifier = encode([before_nv29.accounts[1].native.to_bytes(), encode_bigint(1 << 40)])
        add = Message(Address.id(6), Address.parse(root), method=MethodNumber(2), params=verifier, gas_limit=Gas(10**8),
                      gas_fee_cap=TokenAmount(10**6), gas_premium=TokenAmount(10**6))  # fmt: skip
        before_nv29.submit_unsigned(add)
        for _ in range(2):
            greet(rpc, inbox, gas="0x5000000")
        rpc("evm_mine")
        receipts = rpc("eth_getBlockReceipts", "latest")
        assert [[log["logIndex"] for log in receipt["logs"]] for receipt in receipts] == [[], ["0x1"], ["0x2"]]
        assert [log["logIndex"] for log in rpc("eth_getLogs", {})] == ["0x1", "0x2"]

    def test_by_block_hash_range_and_topic(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        for text in ("a", "b"):
            greet(rpc, inbox, text)
        first, second = rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
        assert rpc("eth_getLogs", {"blockHash": second["blockHash"]}) == [second]
        assert rpc("eth_getLogs", {"fromBlock": first["blockNumber"], "toBlock": first["blockNumber"]}) == [first]
        assert rpc("eth_getLogs", {}) == [second]
        assert rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [first["topics"][0]]}) == [first, second]
        assert rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [None, first["topics"][1]]}) == [first, second]
        assert rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [NO_HASH]}) == []
        assert rpc("eth_getLogs", {"fromBlock": "0x0", "address": [NOBODY]}) == []

    @pytest.mark.slow
    def test_a_range_and_a_result_have_limits(self, narrow_rpc: Client) -> None:
        inbox = deploy(narrow_rpc, INBOX)
        for _ in range(3):
            greet(narrow_rpc, inbox)
        with refusal(-32000, "more than 2 logs"):
            narrow_rpc("eth_getLogs", {"fromBlock": "0x1"})
        narrow_rpc("anvil_mine", 6)
        with refusal(-32000, "exceeds the limit of 5"):
            narrow_rpc("eth_getLogs", {"fromBlock": "0x0"})
        with refusal(-32000, "block range of 90 exceeds the limit of 5 blocks; the head is block 10"):
            narrow_rpc("eth_getLogs", {"fromBlock": "0xa", "toBlock": "0x64"})
        with refusal(-32602, "is above toBlock"):
            narrow_rpc("eth_getLogs", {"fromBlock": "0x5", "toBlock": "0x4"})

    def test_filter_returns_only_new_changes(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        logs, blocks = rpc("eth_newFilter", {"address": inbox}), rpc("eth_newBlockFilter")
        transactions, whole = (rpc("eth_newPendingTransactionFilter", *full) for full in ((), (True,)))
        assert len(logs) == 66
        assert rpc("eth_getFilterChanges", logs) == []
        sent = greet(rpc, inbox)
        (found,) = rpc("eth_getFilterChanges", logs)
        assert found["transactionHash"] == sent
        assert rpc("eth_getFilterChanges", logs) == []
        assert rpc("eth_getFilterLogs", logs) == [found]
        assert rpc("eth_getFilterChanges", blocks) == [found["blockHash"]]
        assert rpc("eth_getFilterChanges", transactions) == [sent]
        assert [(one["hash"], one["blockHash"]) for one in rpc("eth_getFilterChanges", whole)] == [(sent, None)]
        assert rpc("eth_uninstallFilter", logs) is True
        assert rpc("eth_uninstallFilter", logs) is False
        with refusal(-32001, "filter not found"):
            rpc("eth_getFilterChanges", logs)

    def test_filter_id_has_64_digits(self, rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """lotus chain/types/ethtypes `ParseEthHash` accepts no other text."""
        monkeypatch.setattr(filters, "new_id", lambda: bytes(31) + b"\1")
        name = rpc("eth_newBlockFilter")
        assert name == "0x" + "00" * 31 + "01"
        assert rpc("eth_getFilterChanges", "0x1") == rpc("eth_getFilterChanges", name) == []

    def test_filter_id_may_be_a_quantity(self, rpc: Client) -> None:
        """go-ethereum's ids are any hex text; clients send them as numbers, without leading zeros."""
        for unknown in ("0x1", "0x0", "0x" + "00" * 31 + "01"):
            with refusal(-32001, "filter not found"):
                rpc("eth_getFilterChanges", unknown)
            assert rpc("eth_uninstallFilter", unknown) is False
        for invalid in ("1", "0x", "0xzz", "0x" + "1" * 65, 1):
            with refusal(-32602, "is not a filter ID: expected 0x and at most 64 hex digits"):
                rpc("eth_getFilterLogs", invalid)

    def test_unsupported_filter_requests_are_refused(self, narrow_rpc: Client) -> None:
        with refusal(-32602, "only a filter for logs has logs"):
            narrow_rpc("eth_getFilterLogs", narrow_rpc("eth_newBlockFilter"))
        everything = narrow_rpc("eth_newFilter", {"fromBlock": "0x0"})
        assert narrow_rpc("eth_getFilterLogs", everything) == []
        narrow_rpc("anvil_mine", 6)
        with refusal(-32000, "block range exceeds the limit of 5"):
            narrow_rpc("eth_getFilterLogs", everything)

    def test_filter_of_one_block_has_its_logs_and_no_changes(self, rpc: Client) -> None:
        """Source: geth eth/filters/api.go, `GetFilterLogs`; anvil 1.7.1."""
        inbox = deploy(rpc, INBOX)
        sent = [greet(rpc, inbox) for _ in range(2)]
        block = rpc("eth_getTransactionReceipt", sent[0])["blockHash"]
        before = rpc("evm_snapshot")
        name = rpc("eth_newFilter", {"blockHash": block, "address": inbox})
        other = rpc("eth_newFilter", {"blockHash": block, "address": NOBODY})
        assert rpc("eth_getFilterLogs", name) == rpc("eth_getLogs", {"blockHash": block})
        assert rpc("eth_getFilterLogs", other) == rpc("eth_getFilterChanges", name) == []
        greet(rpc, inbox)
        rpc("evm_revert", before)
        assert rpc("eth_getFilterChanges", name) == []
        assert [log["transactionHash"] for log in rpc("eth_getFilterLogs", name)] == sent[:1]
        with refusal(-32001, "not found"):
            rpc("eth_newFilter", {"blockHash": NO_HASH})

    def test_filter_ends_at_its_to_block(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        name = rpc("eth_newFilter", {"fromBlock": "0x0", "toBlock": "0x2"})
        sent = [greet(rpc, inbox) for _ in range(2)]
        for method in ("eth_getFilterChanges", "eth_getFilterLogs"):
            assert [log["transactionHash"] for log in rpc(method, name)] == sent[:1]

    def test_pending_transaction_is_reported_once(self, rpc: Client) -> None:
        name = rpc("eth_newPendingTransactionFilter")
        rpc("evm_setAutomine", False)
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB})
        assert rpc("eth_getFilterChanges", name) == [sent]
        rpc("evm_mine")
        assert rpc("eth_getFilterChanges", name) == []

    def test_filter_continues_after_chain_revert(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        snapshot, name = rpc("evm_snapshot"), rpc("eth_newFilter", {"address": inbox})
        greet(rpc, inbox)
        (told,) = rpc("eth_getFilterChanges", name)
        greet(rpc, inbox, "never told")
        rpc("evm_revert", snapshot)
        assert rpc("eth_getFilterChanges", name) == [{**told, "removed": True}]  # as geth has it
        assert rpc("eth_getFilterChanges", name) == []
        sent = greet(rpc, inbox, "other")
        assert [log["transactionHash"] for log in rpc("eth_getFilterChanges", name)] == [sent]

    def test_a_filter_notices_when_others_take_the_chain_back(self, rpc: Client, network: Network) -> None:
        inbox = deploy(rpc, INBOX)
        snapshot, name = network.snapshot(), rpc("eth_newBlockFilter")
        greet(rpc, inbox)
        assert len(rpc("eth_getFilterChanges", name)) == 1
        network.revert(snapshot)
        greet(rpc, inbox, "other")
        assert len(rpc("eth_getFilterChanges", name)) == 1
        rpc("eth_uninstallFilter", name)
        assert rpc.node.filters not in network.chain.watchers

    @pytest.mark.slow
    def test_filter_is_dropped_after_too_deep_revert(self, rpc: Client) -> None:
        snapshot, name = rpc("evm_snapshot"), rpc("eth_newFilter", {})
        rpc("anvil_mine", 1_001)
        rpc("eth_getFilterChanges", name)
        rpc("evm_revert", snapshot)
        for code, words in ((-32000, "create a new filter"), (-32001, "not found")):
            with refusal(code, words):
                rpc("eth_getFilterChanges", name)

    def test_filter_reports_everything_after_a_reorg(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        snapshot, logs = rpc("evm_snapshot"), rpc("eth_newFilter", {"address": inbox})
        blocks, transactions = rpc("eth_newBlockFilter"), rpc("eth_newPendingTransactionFilter")
        greet(rpc, inbox)
        for name in (logs, blocks, transactions):
            assert len(rpc("eth_getFilterChanges", name)) == 1
        rpc("evm_revert", snapshot)
        sent = [greet(rpc, inbox, text) for text in ("other", "branch")]
        told = rpc("eth_getFilterChanges", logs)
        assert [log["removed"] for log in told] == [True, False, False]
        assert [log["transactionHash"] for log in told[1:]] == sent
        assert len(rpc("eth_getFilterChanges", blocks)) == 2
        assert rpc("eth_getFilterChanges", transactions) == sent

    @pytest.mark.slow
    def test_least_recently_used_filter_is_evicted(self, rpc: Client) -> None:
        """The least recently polled filter is evicted."""
        first, second, *others = [rpc("eth_newBlockFilter") for _ in range(MAX_FILTERS)]
        rpc("eth_getFilterChanges", first)
        rpc("eth_newFilter", {})
        with pytest.raises(Failed, match="filter not found"):
            rpc("eth_getFilterChanges", second)
        for name in (first, *others[:3], others[-1]):
            assert rpc("eth_getFilterChanges", name) == []

    def test_filters_hold_no_more_than_they_may(self, rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Check the size limit with an estimate of at least 500 bytes per criterion, pending log and reverted log."""
        monkeypatch.setattr(filters, "MAX_BYTES", 500 * 40)
        addresses = [f"0x{number:040x}" for number in range(20)]
        first, last = (rpc("eth_newFilter", {"address": addresses}) for _ in range(2))
        with pytest.raises(Failed, match="filter not found"):
            rpc("eth_getFilterChanges", first)
        assert rpc("eth_getFilterChanges", last) == []
        assert rpc.node.filters._held == 500 * 21
        rpc("evm_setAutomine", False)
        pending = rpc("eth_newPendingTransactionFilter")
        for nonce in range(25):
            rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7), "nonce": hex(nonce)})
        assert len(rpc("eth_getFilterChanges", pending)) == 25
        with pytest.raises(Failed, match="filter not found"):
            rpc("eth_getFilterChanges", last)
        rpc("eth_uninstallFilter", pending)
        assert rpc.node.filters._held == 0

    @pytest.mark.slow
    def test_reverted_logs_are_stored_once_and_bounded(self, rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        inbox = deploy(rpc, INBOX)
        names = [rpc("eth_newFilter", {"address": inbox}) for _ in range(50)]
        for turn in range(5):
            snapshot = rpc("evm_snapshot")
            greet(rpc, inbox, f"text {turn}")
            assert len(rpc("eth_getFilterChanges", names[0])) == 1 + min(turn, 1)
            rpc("evm_revert", snapshot)
        one = rpc.node.filters._reverted_held // 5
        assert one < 10_000, "of one log of some hundred bytes"
        assert [log["removed"] for log in rpc("eth_getFilterChanges", names[0])] == [True]
        assert rpc("eth_getFilterChanges", names[1]) == []  # it has reported none of them
        monkeypatch.setattr(filters, "MAX_BYTES", 3 * one)
        rpc("evm_revert", rpc("evm_snapshot"))
        assert len(rpc.node.filters._reverted) == 3
        with pytest.raises(Failed, match="create a new filter"):
            rpc("eth_getFilterChanges", names[2])
        assert rpc("eth_getFilterChanges", names[1]) == []
