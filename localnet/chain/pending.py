"""The block to come as it would be now: what waits and can be executed, on the head, with nothing kept.

Ethereum's tag `pending` means it, as anvil has it. Under Filecoin's rules the tag is the head, as Lotus has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.types import ChainEpoch
from localnet.chain.block_production import BlockProduction
from localnet.chain.execution import begin_epoch, end_epoch, execute
from localnet.chain.reading import NetworkReader
from localnet.ledger.block_settings import BlockSettings
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.records import Execution, Tipset, TransactionReceipt
from store.buffered import BufferedStore
from store.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A block that is not there yet, and the machine in the state that it leaves."""

    machine: Hypervisor
    tipset: Tipset
    executions: tuple[Execution, ...]

    def receipts(self) -> list[TransactionReceipt]:
        """Its executed transactions, in order."""
        found, logs, gas = list[TransactionReceipt](), 0, 0
        for place, execution in enumerate(self.executions):
            found.append(TransactionReceipt(execution, self.tipset, place, logs, self.machine.context.chain_id, gas))
            logs += len(execution.logs())
            gas += execution.receipt.gas_used
        return found


def has_pending(network: NetworkReader) -> bool:
    """Whether the tag `pending` means a block of its own."""
    return network.rules.features.has_pending_block and not network.chain.deferred


_Origin = tuple[Tipset, BlockSettings, int, NetworkRecord, Address, bool, tuple[bytes, ...]]
"""Head, settings, timestamp, plan of upgrades, producer, and what waits, in its order."""


class PendingBlocks:
    """The block to come of a network: executed once for as long as everything that it follows from stays the same."""

    def __init__(self, network: BlockProduction) -> None:
        self._network = network
        self._kept: tuple[_Origin, PendingBlock] | None = None

    def block(self) -> PendingBlock:
        """What the next block would be, on a machine of its own, which readers leave as it is. Raises Fatal."""
        network = self._network
        origin: _Origin = (
            network.head,
            network.chain.settings_after(network.head),
            network.next_timestamp,
            network.chain.record,
            network.producer,
            network.mempool.first_come,
            tuple(candidate.hash for candidate in network.mempool),
        )
        if self._kept is None or self._kept[0] != origin:
            self._kept = None  # the machine of the one before is not kept while this one is made
            self._kept = origin, _make(network, origin[2])
        return self._kept[1]


def _make(network: BlockProduction, timestamp: int) -> PendingBlock:
    chain, head = network.chain, network.head
    height = ChainEpoch(head.height + 1)
    machine = chain.machine_before(head, head.state)
    begin_epoch(machine, chain.record, head, height, timestamp, chain.settings_after(head))
    done = list(execute(machine, network.chosen()))
    end_epoch(machine, chain.producer, sum(tip for _, tip in done))
    executions = [execution for execution, _ in done]
    tipset = chain.assemble(machine, BufferedStore(MemoryStore()), head, height, timestamp, executions)
    return PendingBlock(machine, tipset, tuple(executions))
