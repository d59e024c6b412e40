"""The pending block: what the next block would contain if it were built now on the head.

Under Ethereum's rules the block tag `pending` refers to it, as in anvil. Under Filecoin's rules the tag refers to the
head, as in Lotus.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.machine.machine import Hypervisor
from hypervisor.types import ChainEpoch
from localnet.chain.block_production import BlockProduction
from localnet.chain.execution import begin_epoch, end_epoch, execute, implicit_executions
from localnet.chain.reading import NetworkReader
from localnet.chain.view import ChainPoint, ChainReader
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Execution, Tipset, TransactionReceipt
from localnet.rules.call_request import SAME_BLOCK, BlockOverride
from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A pending block, and the machine in the state after it."""

    machine: Hypervisor
    tipset: Tipset
    executions: tuple[Execution, ...]

    def receipts(self) -> list[TransactionReceipt]:
        """Return the executed transactions of the block, in order."""
        found, events, gas = list[TransactionReceipt](), 0, 0
        for index, execution in enumerate(self.executions):
            found.append(TransactionReceipt(execution, self.tipset, index, events, self.machine.context.chain_id, gas))
            events += len(execution.events)
            gas += execution.receipt.gas_used
        return found


def has_pending(network: NetworkReader) -> bool:
    """Return True if the tag `pending` refers to a pending block, and not to the head."""
    return network.rules.features.has_pending_block and not network.chain.deferred


def next_block(network: NetworkReader, timestamp: int) -> BlockOverride:
    """Return number, time (`timestamp`) and base fee of the pending block; no override if the rules have none."""
    if not has_pending(network):
        return SAME_BLOCK
    head = network.head
    return BlockOverride(ChainEpoch(head.height + 1), timestamp, head.next_base_fee)


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """Inputs of the pending block, which any thread can execute.

    `timestamp` is in Unix seconds; `retained` is the first height with a retained state at creation.
    """

    point: ChainPoint
    timestamp: int
    candidates: tuple[Candidate, ...]
    retained: int


class PendingPlans:
    """Plans of the pending block, cached until the pending messages or the time change."""

    def __init__(self, network: BlockProduction) -> None:
        self._network = network
        self._cached: tuple[tuple[object, ...], PendingPlan] | None = None

    def plan(self) -> PendingPlan:
        """Return the current plan. For the chain's own thread."""
        network, mempool = self._network, self._network.mempool
        point, timestamp = network.chain.point(), network.next_timestamp
        origin = point, timestamp, mempool.changes, mempool.first_come, network.chain.index.retained
        if self._cached is None or self._cached[0] != origin:
            plan = PendingPlan(point, timestamp, tuple(network.chosen()), network.chain.index.retained)
            self._cached = origin, plan
        return self._cached[1]


class PendingBlocks:
    """The pending block of a chain, executed again only when its plan changes."""

    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain
        self._cached: tuple[PendingPlan, PendingBlock] | None = None

    def block(self, plan: PendingPlan) -> PendingBlock:
        """Return the pending block on a separate machine, which readers must not change.

        The chain is at the plan's point. Raises Fatal.
        """
        if self._cached is None or self._cached[0] != plan:
            self._cached = None  # release the previous machine before creating the next one
            self._cached = plan, _make(self._chain, plan)
        return self._cached[1]

    def forget(self) -> None:
        """Discard the block: its machine now belongs to another thread, and the next reader executes it again."""
        self._cached = None


def _make(chain: ChainReader, plan: PendingPlan) -> PendingBlock:
    head = chain.head
    height = ChainEpoch(head.height + 1)
    machine = chain.machine_before(head, head.state)
    work = begin_epoch(machine, chain.record, head, height, plan.timestamp, chain.settings_after(head))
    done = list(execute(machine, plan.candidates))
    work += end_epoch(machine, chain.producer, sum(tip for _, tip in done))
    executions, implicit = [execution for execution, _ in done], implicit_executions(machine, work)
    blocks = BufferedStore(MemoryStore())
    tipset = chain.assemble(machine, blocks, head, height, plan.timestamp, executions, implicit)
    return PendingBlock(machine, tipset, tuple(executions))
