"""Blocks at intervals, and receipts that are available one block later.

Expected results of deferred execution are lotus': `latest` is the newest tipset with a known state, `pending` the
newest tipset.
"""

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.ledger.records import Tipset
from localnet.rpc.method_table import MethodTable
from localnet.rpc.node import BlockTimer, Node
from localnet.rpc.server.server import Server
from store.blockstore import StoreFull
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, COUNTER, INBOX, calldata
from tests.localnet.rpc.conftest import Client, Failed, refusal


@pytest.fixture
def deferred() -> Iterator[Client]:
    """Return a client of a network with deferred execution, whose blocks tests make."""
    with Network(clock=Clock(), deferred=True) as network:
        network.automine = False
        yield Client(Node(network))


class TestDeferred:
    """A transaction in tipset N has its receipt once N + 1 exists."""

    def test_the_receipt_comes_with_the_next_block(self, deferred: Client) -> None:
        sent = deferred("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", "gas": "0x989680"})
        before = deferred("eth_getBalance", BOB)
        deferred("evm_mine")
        head = deferred.node.network.head
        assert sent in {"0x" + transaction.hex() for transaction in head.transactions}
        assert deferred("eth_getTransactionReceipt", sent) is None
        assert deferred("eth_getTransactionByHash", sent)["blockHash"] is None
        assert int(deferred("eth_blockNumber"), 16) == head.height - 1
        assert deferred("eth_getBlockByNumber", hex(head.height), False) is None
        assert deferred("eth_getBlockByHash", "0x" + head.hash.hex(), False) is None
        assert deferred("eth_getBlockByNumber", "pending", False)["transactions"] == [sent]
        assert deferred("eth_getBalance", BOB) == before
        assert int(deferred("eth_getBalance", BOB, "pending"), 16) == int(before, 16) + 5
        with pytest.raises(Failed, match="is pending"):
            deferred("debug_traceTransaction", sent)

        deferred("evm_mine")
        receipt = deferred("eth_getTransactionReceipt", sent)
        assert (receipt["status"], receipt["blockNumber"]) == ("0x1", hex(head.height))
        assert deferred("eth_getTransactionByHash", sent)["blockNumber"] == hex(head.height)
        assert int(deferred("eth_blockNumber"), 16) == head.height
        assert int(deferred("eth_getBalance", BOB), 16) == int(before, 16) + 5

    def test_pending_nonce_counts_transactions_without_receipt(self, deferred: Client) -> None:
        for nonce in range(2):
            deferred("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": "0x989680"})
            assert deferred("eth_getTransactionCount", ALICE) == "0x0"
            if nonce == 0:
                deferred("evm_mine")
            assert deferred("eth_getTransactionCount", ALICE, "pending") == hex(nonce + 1)

    def test_an_estimate_stands_on_all_that_is_sent(self, deferred: Client) -> None:
        deferred("anvil_setBalance", BOB, "0x0")
        deferred("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(10**18), "gas": "0x989680"})
        deferred("evm_mine")
        assert int(deferred("eth_estimateGas", {"from": BOB, "to": ALICE, "value": hex(10**17)}), 16) > 1_000_000

    def test_logs_and_filters_follow_deferred_receipts(self, deferred: Client) -> None:
        network = deferred.node.network
        network.automine = True
        inbox = network.deploy(INBOX)
        network.automine = False
        blocks, logs = (
            deferred("eth_newBlockFilter"),
            deferred("eth_newFilter", {"address": "0x" + inbox.address.hex()}),
        )
        request = {"from": ALICE, "to": "0x" + inbox.address.hex(), "data": calldata(INBOX, "greet", "x")}
        deferred("eth_sendTransaction", {**request, "gas": "0x5f5e100"})
        deferred("evm_mine")
        assert deferred("eth_getFilterChanges", logs) == []
        deferred("eth_getFilterChanges", blocks)
        assert deferred("eth_getLogs", {"address": "0x" + inbox.address.hex()}) == []
        deferred("evm_mine")
        assert len(deferred("eth_getFilterChanges", logs)) == 1
        assert len(deferred("eth_getFilterChanges", blocks)) == 1
        assert len(deferred("eth_getLogs", {"address": "0x" + inbox.address.hex()})) == 1

    def test_deferred_network_mines_next_block_from_python(self) -> None:
        with Network(clock=Clock(), deferred=True) as network:
            counter = network.deploy(COUNTER)
            assert counter.send("increment").succeeded
            assert counter.call("number") == 1


class TestIntervals:
    """Blocks at intervals of the clock."""

    @pytest.mark.slow
    def test_interval_mining_makes_blocks(self) -> None:
        with Network() as network:
            server = Server(network, 0, interval=BlockTimer(0.05))
            _run_until(server, lambda: network.block_number >= 4)
            assert network.block_number >= 4

    def test_modules_that_cannot_be_loaded_in_advance_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The limit of open files may be reached before the server has loaded them."""

        def refuse(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(MethodTable, "load_all", refuse)
        with Network() as network:
            server = Server(network, 0)
            server._load_remaining_methods()
            _run_until(server, lambda: True)

    @pytest.mark.slow
    def test_null_round_probability_makes_null_rounds(self) -> None:
        with Network() as network:
            server = Server(network, 0, interval=BlockTimer(0.01, null_rate=0.5, seed=7))
            _run_until(server, lambda: network.block_number >= 30)
            heights = [height for height in range(30) if isinstance(network.chain.index.at(height), Tipset)]
            assert 5 < len(heights) < 25

    @pytest.mark.slow
    def test_block_interval_can_be_changed(self) -> None:
        made: list[float] = []

        async def mine(_null_rounds: int) -> None:
            made.append(time.monotonic())

        async def scenario() -> None:
            interval = BlockTimer()
            task = asyncio.create_task(interval.run(mine))
            await asyncio.sleep(0.05)
            assert made == []
            interval.set(0.01)
            async with asyncio.timeout(60):
                while len(made) < 5:
                    await asyncio.sleep(0.01)
            interval.set(0)
            await asyncio.sleep(0.05)
            count = len(made)
            await asyncio.sleep(0.1)
            assert len(made) == count
            task.cancel()

        asyncio.run(scenario())

    def test_a_block_that_fails_is_not_the_last(self, caplog: pytest.LogCaptureFixture) -> None:
        calls: list[int] = []

        async def mine(null_rounds: int) -> None:
            calls.append(null_rounds)
            if len(calls) == 1:
                raise OSError("disk full")

        async def scenario() -> None:
            task = asyncio.create_task(BlockTimer(0.01).run(mine))
            while len(calls) < 3:
                await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(scenario())
        assert "no block was made" in caplog.text

    def test_full_disk_is_reported_in_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        calls: list[int] = []

        async def mine(null_rounds: int) -> None:
            calls.append(null_rounds)
            if len(calls) == 1:
                raise StoreFull("no space left for the store in chain")

        async def scenario() -> None:
            task = asyncio.create_task(BlockTimer(0.01).run(mine))
            while len(calls) < 2:
                await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(scenario())
        (record,) = caplog.records
        assert record.exc_info is None
        assert record.getMessage() == ("no block was made: no space left for the store in chain")

    def test_interval_is_set_over_rpc(self, rpc: Client) -> None:
        assert rpc("anvil_getIntervalMining") is None
        assert rpc("evm_setIntervalMining", 5) is None
        assert (rpc("anvil_getIntervalMining"), rpc("anvil_getAutomine")) == (5, False)
        rpc("evm_setIntervalMining", 0)
        rpc("evm_setAutomine", True)
        assert rpc("anvil_getIntervalMining") is None
        with refusal(-32602, "the block time is"):
            rpc("evm_setIntervalMining", 1 << 40)

    @pytest.mark.parametrize(("seconds", "rate"), [(-1, 0), (1 << 40, 0), (1, 1), (1, -0.5), (float("nan"), 0)])
    def test_invalid_values_are_refused(self, seconds: float, rate: float) -> None:
        with pytest.raises(InvalidInput):
            BlockTimer(seconds, rate)


def _run_until(server: Server, done: Callable[[], bool]) -> None:
    """Serve from a thread until a condition holds, for at most ten seconds."""
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
    server.stop()
    thread.join()
