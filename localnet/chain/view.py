"""A read-only view of a chain: blocks by the index, states by a machine. `Chain` also builds blocks.

`ChainView` reads the chain at a `ChainPoint` on another thread. It has its own machine, index and externs over the
same store. Everything shared is immutable, or is the store, which is thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import StateOrigin
from hypervisor.types import ChainEpoch, Gas
from localnet.chain.ethereum_start import earlier_tipset
from localnet.chain.execution import BlockExecution
from localnet.chain.externs import ChainExterns
from localnet.chain.supply import StoredSupply
from localnet.ledger.blocks import producer_of
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import GENESIS_PARENT, BlockSettings, Tipset
from localnet.rules.parts import NetworkRules, rules_of
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.fork.ethereum_fork import EthereumFork
    from localnet.fork.forking import Origin
    from localnet.fork.remote_history import BlockName, RemoteHistory


class ChainReader:
    """Read access to a chain: its tipsets up to the head, and a machine at the head's state."""

    machine: Hypervisor
    index: ChainIndex
    record: NetworkRecord
    head: Tipset
    producer: Address
    """Block producer."""
    deferred: bool
    """True if receipts are known one tipset later, as on mainnet; see `executed_head`."""
    default_gas_limit: Gas | None
    """Default block gas limit of the node, which is not stored in the folder. None selects the rules' limit."""
    origin: Origin | EthereumFork | None
    """The node that the network was forked from."""
    _externs: ChainExterns

    @property
    def rules(self) -> NetworkRules:
        """Set of rules of the network."""
        return rules_of(self.machine)

    @property
    def ethereum_fork(self) -> EthereumFork | None:
        """The node of a fork of an Ethereum network, None for other networks."""
        if self.origin is None:
            return None
        from localnet.fork.ethereum_fork import EthereumFork  # loaded for forks only

        return self.origin if isinstance(self.origin, EthereumFork) else None

    @property
    def history(self) -> RemoteHistory | None:
        """Blocks up to the first tipset, for a fork of an Ethereum network."""
        fork = self.ethereum_fork
        return None if fork is None else fork.history

    @property
    def before_the_fork(self) -> str:
        """Text for errors about missing blocks that names the forked network; empty without a fork."""
        if self.history is None:
            return ""
        return f" (a fork: blocks up to {self.history.last} are on the forked node)"

    def earlier(self, name: BlockName) -> Tipset | None:
        """Return a block of the history as a tipset, None for a block from the first tipset on. Raises NodeError."""
        fork = self.ethereum_fork
        if fork is None:
            return None
        number = fork.history.number_of(name) if isinstance(name, bytes) else name
        if number is None or number >= self.index.first:
            return None
        return earlier_tipset(fork, fork.block(number), self.machine.context.chain_id, self.rules)

    @property
    def executed_head(self) -> Tipset:
        """Newest tipset with known receipts: the head, or its parent if execution is deferred."""
        if not self.deferred or self.head.parent == GENESIS_PARENT:
            return self.head
        return self.index.tipset(self.head.parent)

    def settings_after(self, parent: Tipset) -> BlockSettings:
        """Return the settings of the next block after a tipset."""
        settings = parent.next_settings
        return settings if self.default_gas_limit is None else self._with_default_gas_limit(settings)

    def _with_default_gas_limit(self, settings: BlockSettings) -> BlockSettings:
        if settings.gas_limit is not None or self.default_gas_limit is None:
            return settings
        return replace(settings, gas_limit=self.default_gas_limit)

    def next_block(self, machine: Hypervisor, parent: Tipset, height: ChainEpoch, timestamp: int) -> BlockExecution:
        """Return a new block after a tipset, to be executed on a machine in the tipset's state and context."""
        settings = self.settings_after(parent)
        return BlockExecution(machine, self.record, parent, height, timestamp, settings, self.producer)

    def repeated_block(self, tipset: Tipset, producer: Address | None = None) -> BlockExecution:
        """Return a block of the chain, to be executed again on a separate machine.

        `producer` is that of a block whose header is not stored. Raises InvalidInput if the state before it was
        collected.
        """
        machine = self.machine_before(tipset)
        producer = producer or producer_of(self.machine.base, tipset.block)
        parent = tipset if tipset.parent == GENESIS_PARENT else self.index.tipset(tipset.parent)
        return BlockExecution(machine, self.record, parent, tipset.height, tipset.timestamp, tipset.settings, producer)

    def machine_at(self, tipset: Tipset) -> Hypervisor:
        """Return a machine at a tipset's state, in its context; at the head it is the chain's own."""
        if tipset == self.head:
            return self.machine
        return self.machine_before(tipset, tipset.state)

    def machine_before(self, tipset: Tipset, root: Cid | None = None) -> Hypervisor:
        """Return a separate machine in a tipset's context, at the state before its execution (or at `root`).

        Raises InvalidInput if that state was collected.
        """
        self._check_retained(tipset)
        machine = self._fork(tipset.before if root is None else root)
        fork = self.ethereum_fork if tipset.height < self.index.first else None
        if fork is not None:
            machine.read_from(fork.origin(machine.manifest, tipset.height))
        self._set_context(machine, tipset, tipset.before if root is None else root, tipset.settings)
        return machine

    def _fork(self, root: Cid) -> Hypervisor:
        """Return a separate machine at a state, for this machine's thread."""
        return self.machine.fork(root)

    def _check_retained(self, tipset: Tipset) -> None:
        if self.index.first <= tipset.height < self.index.retained and not (
            tipset.height == self.index.first and self.machine.base.has(tipset.state)
        ):
            raise InvalidInput(
                f"the state of block {tipset.height} was collected: states are kept from block "
                f"{self.index.retained} on (a node keeps more with --keep-states N, a Network with keep_states=N)"
            )

    def _enter(self, machine: Hypervisor, tipset: Tipset) -> None:
        # A query at the head sees the next block's context, except for randomness that only that block has.
        settings = self.settings_after(tipset)
        if settings.randomness != tipset.settings.randomness:
            settings = replace(settings, randomness=tipset.settings.randomness)
        self._set_context(machine, tipset, tipset.state, settings)
        self._externs.executing = tipset.height

    def _set_context(self, machine: Hypervisor, tipset: Tipset, root: Cid, settings: BlockSettings) -> None:
        """Set a machine at a state to a tipset's context and to the settings of a block."""
        machine.advance(
            epoch=tipset.height,
            timestamp=tipset.timestamp,
            base_fee=tipset.base_fee,
            circulating_supply=StoredSupply(machine.store, root, self.record.vested),
            network=self.record.network_at(tipset.height),
            chain_id=settings.chain_id,
        )
        rules_of(machine).settings.apply_settings(machine, settings)


@dataclass(slots=True, unsafe_hash=True)
class ChainPoint:
    """Snapshot of a chain between two changes, with everything that another thread needs to read it.

    `facts` are the head, the record, the producer, a flag for deferred receipts, the default gas limit, and the number
    of reorgs and manual edits.
    """

    facts: Final[tuple[Tipset, NetworkRecord, Address, bool, Gas | None, int]]
    chain_ids: Final[tuple[int, ...]]
    rules: Final[NetworkRules]
    rewritten: Final[int]
    """Number of reorgs and manual state edits when this point was made."""
    chain_id: Final[int]
    version: Final[int]
    """Network version number."""
    first: Final[int]
    """The height of the first tipset."""
    origin: Final[Origin | EthereumFork | None]
    """The node that the network was forked from."""
    accounts: Final[StateOrigin | None]
    """Source of the accounts of a fork of an Ethereum network, or None."""


class ChainView(ChainReader):
    """A chain at a point. It belongs to one thread at a time; `Chain.view` makes one."""

    def __init__(self, machine: Hypervisor, index: ChainIndex, externs: ChainExterns, point: ChainPoint) -> None:
        self._machine, self.index, self._externs = machine, index, externs
        self._rewritten = point.rewritten
        self._enter_point(point)

    def go_to(self, point: ChainPoint) -> None:
        """Move the view to a point of the chain. Its machine follows when it is used."""
        if point is not self._point:
            self.__dict__.pop("machine", None)
            self._enter_point(point)

    @property
    def rules(self) -> NetworkRules:
        return self._point.rules

    @cached_property
    def machine(self) -> Hypervisor:  # type: ignore[override]  # the view's own, which nothing assigns
        """Machine at the head's state. Raises the store's errors; the next use then starts over."""
        self._machine.read_from(self._point.accounts)
        self._machine.restore(Snapshot(self.head.state, {}))
        self._enter(self._machine, self.head)
        return self._machine

    def _enter_point(self, point: ChainPoint) -> None:
        if point.rewritten != self._rewritten:
            self.index.forget_logs()  # they may have been read during a reorg
            self._rewritten = point.rewritten
        self._point = point
        self.head, self.record, self.producer, self.deferred, self.default_gas_limit, _ = point.facts
        self.index.head, self.index.chain_ids = self.head.height, list(point.chain_ids)
        self.index.first, self.origin = point.first, point.origin
        self._externs.attach(self.index, point.origin)
        self._externs.executing = self.head.height

    def _fork(self, root: Cid) -> Hypervisor:
        # with separate externs, because the console uses the machine on the chain's thread
        return self.machine.fork(root, externs=self._externs.snapshot())
