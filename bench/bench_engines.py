"""The fast EVM engine compared with revm (pyrevm, in the same process), and over RPC with anvil.

Rows measure the processor time of a transaction's call including nested calls, without fees, checks and the writing of
actors (their parts show the whole transaction). Separate transfers are whole transactions, on the state that the one
before has left. Both sides must use the same gas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Final

from bench.bench_node import node
from bench.peers import PeerConnection, Running, anvil
from bench.rows import Row, seconds
from bench.workloads import RULES, Workload, accounts, batch, calling, compute
from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from runtimes.evm.frames.pool import TIERED, Pool, guest_module
from runtimes.evm.revm import EthereumExecutor
from tests.differential.grammar import SENDER
from tests.engines.scenes import Batch, Call
from tests.engines.worlds import EthereumMachine, Outcome, Revm, pyrevm

ROUNDS: Final = 5
_WARM_UP: Final = 0.5
"""Seconds for which a workload runs before it is measured."""
_RPC_GAS: Final = hex(16_700_000)
"""Maximum gas of a transaction since Osaka."""
_EMPTY_ACCOUNT: Final = EthAddress(b"\x88" * 20)
_RECEIVER: Final = 4 + 32 - ETH_ADDRESS_LENGTH
"""Position of the receiver's address in the calldata of a transfer."""
REVM: Final = "pyrevm is not there"


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    module, fast = pyrevm(), TimedMachine("fast")
    if module is not None:
        revm = Revm(module, accounts())
        yield from beside_revm(fast, revm)
    else:
        for name in ("ten compute workloads", "the slowest of them", *(work.name for work in calling())):
            yield Row(name, None, REVM)
    yield beside_anvil()
    guest_module()
    yield Row("load the engine", 1000 * seconds(load, clock=process_time), "compiled before, from the disk's cache")


def beside_revm(fast: TimedMachine, revm: Revm) -> Iterator[Row]:
    """Yield our times as multiples of revm's."""
    ratios = {work.name: fast.beside(revm, work) for work in compute()}
    named = {name: timed.ratio for name, timed in ratios.items()}
    yield Row("ten compute workloads", mean(named.values()), "geometric mean", named)
    slowest = max(ratios.values(), key=lambda timed: timed.ratio)
    yield Row("the slowest of them", slowest.ratio, str(slowest))
    for work in calling():
        timed = fast.beside(revm, work) if work.times == 1 else fast.in_sequence(revm, work)
        yield Row(work.name, timed.ratio, str(timed))


def beside_anvil() -> Row:
    """Return calls over RPC, in the processor time of each node's process, as multiples of anvil's."""
    name = "workloads over RPC"
    with TemporaryDirectory() as folder, anvil() as other:
        if other is None:
            return Row(name, None, "anvil is not installed: run scripts/clients")
        with node(Path(folder), Path(folder, "chain"), "--rules", "ethereum", "--evm", "fast") as ours:
            nodes, ratios = (_with_accounts(ours), _with_accounts(other)), {}
            for work in (*compute(), *calling()):
                if work.call.to is not None and work.times == 1:
                    mine, theirs = (_call_seconds(running, connection, work.short) for running, connection in nodes)
                    ratios[work.name] = mine / theirs
    return Row(name, mean(ratios.values()), "geometric mean of eth_call", ratios)


def _with_accounts(running: Running) -> tuple[Running, PeerConnection]:
    connection = PeerConnection(running.port)
    for address, account in accounts().items():
        place = f"0x{address.hex()}"
        connection.request("anvil_setBalance", place, hex(account.balance))
        if account.code:
            connection.request("anvil_setCode", place, f"0x{account.code.hex()}")
        for slot, word in account.storage.items():
            connection.request("anvil_setStorageAt", place, f"0x{slot:064x}", f"0x{word:064x}")
    return running, connection


def _call_seconds(running: Running, connection: PeerConnection, call: Call) -> float:
    assert call.to is not None
    fields = {"from": f"0x{SENDER.hex()}", "to": f"0x{call.to.hex()}", "data": f"0x{call.data.hex()}", "gas": _RPC_GAS}
    return seconds(lambda: connection.request("eth_call", fields, "latest"), clock=running.processor_time)


@dataclass(frozen=True, slots=True)
class Compared:
    """Seconds of one workload: the call and the whole transaction here, and the call on revm."""

    name: str
    ours: float
    whole: float
    revm: float
    gas: int

    @property
    def ratio(self) -> float:
        """Our time as a multiple of revm's."""
        return self.ours / self.revm

    def __str__(self) -> str:
        times = f"{self.ours * 1e6:,.0f} us, revm {self.revm * 1e6:,.0f} us; the transaction {self.whole * 1e6:,.0f} us"
        return f"{self.name}: {times}; {self.gas:,} gas"


class TimedMachine:
    """A machine that measures the calls of transactions: their time less that of a transaction to an empty account."""

    def __init__(self, engine: str, drawn: Batch | None = None) -> None:
        """The accounts are those of `drawn`, or of the workloads."""
        self._world = EthereumMachine(engine, RULES)
        self._world.begin(drawn or batch())
        self.machine = self._world.machine

    def time(self, call: Call, rounds: int) -> tuple[float, Outcome, float]:
        """Return seconds of the call, its outcome, and seconds of the whole transaction; the best of some rounds."""
        alone, whole = float("inf"), float("inf")
        for _ in range(rounds + (rounds > 1)):
            alone = min(alone, self._attempt(replace(call, to=_EMPTY_ACCOUNT))[0])
            taken, outcome = self._attempt(call)
            whole = min(whole, taken)
        return whole - alone, outcome, whole

    def warm_up(self, call: Call) -> None:
        """Execute a call for some time, in which its hot code is compiled."""
        end = monotonic() + _WARM_UP
        while monotonic() < end:
            self._attempt(call)

    def beside(self, revm: Revm, work: Workload) -> Compared:
        """Measure one workload on both sides alternately, once its hot code has had time to be compiled."""
        best = [float("inf")] * 3
        self.warm_up(work.call)
        for _ in range(ROUNDS):
            ours, outcome, whole = self.time(work.call, work.times)
            theirs = min(_revm(revm, work.call, outcome.gas_used) for _ in range(work.times))
            best = [min(pair) for pair in zip(best, (ours, whole, theirs), strict=True)]
        return Compared(work.name, best[0], best[1], best[2], outcome.gas_used)

    def in_sequence(self, revm: Revm, work: Workload) -> Compared:
        """Measure whole transfers, each on the state that the one before has left, and revm's call; the best ones.

        Each transfer has another receiver. revm runs on fresh accounts: pyrevm's calls are one transaction, whose slots
        stay warm. So every transfer fills an empty slot on both sides.
        """
        machine, call, ours, theirs = self.machine, work.call, float("inf"), float("inf")
        with machine.trial():
            executor = EthereumExecutor(machine)
            for nonce in range(work.times):
                receiver = bytes([0x80 + nonce]) * ETH_ADDRESS_LENGTH
                data = call.data[:_RECEIVER] + receiver + call.data[_RECEIVER + ETH_ADDRESS_LENGTH :]
                transaction = replace(self._world.transaction(call, call.gas_limit), nonce=nonce, data=data)
                start = process_time()
                gas_used = executor.apply_transaction(transaction, SENDER).gas_used
                ours = min(ours, process_time() - start)
                theirs = min(theirs, _revm(revm, call, gas_used))
        return Compared(work.name, ours, ours, theirs, gas_used)

    def _attempt(self, call: Call) -> tuple[float, Outcome]:
        """Return seconds of a transaction, and its outcome."""
        start = process_time()
        outcome = self._world.attempt(call, call.gas_limit)
        taken = process_time() - start
        if outcome.exit_code != 0:
            raise RuntimeError(f"a workload ended with {outcome.exit_code}")
        return taken, outcome


def _revm(revm: Revm, call: Call, gas_used: int) -> float:
    evm = revm.fresh(call)
    start = process_time()
    revm.run(evm, call, call.gas_limit)
    taken = process_time() - start
    if evm.result.gas_used != gas_used:
        raise RuntimeError(f"{gas_used} gas here, {evm.result.gas_used} of revm")
    return taken


def load() -> None:
    """Run the one-time setup of a process: load the compiled module, link it, create an instance."""
    guest_module.cache_clear()
    loaded = Pool(TIERED)
    loaded.stacks.run(lambda: loaded.release(loaded.acquire(loaded)), lambda: None)


def mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean."""
    taken = list(ratios)
    return float(prod(taken) ** (1 / len(taken)))
