"""The chain: builds tipsets, executes them, and commits block, receipts, index, state and head atomically.

A tipset is executed when it is built. As on the network, its state root and receipts are recorded in the next header.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bridge.filecoin.receipts import EMPTY_BLOOM
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.machine.opening import register_actors
from hypervisor.messages.address import Address
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from localnet.chain.ethereum_start import first_tipset
from localnet.chain.execution import BlockExecution, BlockStarter, block_order
from localnet.chain.externs import ChainExterns
from localnet.chain.state_window import StateWindow
from localnet.chain.view import ChainPoint, ChainReader, ChainView
from localnet.chain.watching import Watcher
from localnet.ledger.blocks import NO_PRODUCER, BlockHeader, producer_of, put_messages, put_receipts, tipset_key
from localnet.ledger.candidates import Candidate
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.index import (
    ChainIndex,
    blob_entries,
    chain_ids_entries,
    changed_entries,
    first_entries,
    head_entries,
    network_entries,
    retained_entries,
    tipset_entries,
)
from localnet.ledger.records import (
    DEFAULT_SETTINGS,
    GENESIS_PARENT,
    BlockSettings,
    Execution,
    Tipset,
)
from localnet.ledger.upgrades import Upgrade, Upgrades, bundle_pins, rehearse_upgrades
from localnet.rules.parts import rules_of
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import Blockstore, StoreError, StoreIOError, StoreReadOnly
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.fork.ethereum_fork import EthereumFork
    from localnet.fork.forking import ForkPoint, Origin


class Chain(ChainReader):
    """The tipsets up to the head, and the machine at the head's state."""

    def __init__(
        self,
        machine: Hypervisor,
        externs: ChainExterns,
        record: NetworkRecord,
        timestamp: int,
        origin: Origin | EthereumFork | None = None,
        window: StateWindow | None = None,
        default_gas_limit: Gas | None = None,
    ) -> None:
        """Continue the chain in the machine's folder, or start one with `record` at `timestamp` (Unix seconds).

        `origin` is the network that the chain was forked from, after one of its tipsets. `window` retains states of an
        in-memory network; without it, the store retains all states. `default_gas_limit` is the gas limit of blocks,
        including the first one, unless another one is set.
        """
        self.machine = machine
        self.watchers: list[Watcher] = []
        self.deferred = False
        """True if receipts are known one tipset later, as on the network; see `executed_head`."""
        self.default_gas_limit = default_gas_limit
        """Default block gas limit of the node, which is not stored in the folder. None selects the rules' limit."""
        self.start_block: BlockStarter | None = None
        """Parallel executor for blocks produced here; None executes them serially."""
        self.rewritten = 0
        """Number of reorgs and manual state edits so far."""
        self.write_failure = ""
        """Why the store refused the last change; empty if it took it."""
        self.making_took = 0.0
        """Production time of the head in seconds, if this process produced it."""
        self.states = window or StateWindow()
        self.index = ChainIndex(machine.base)
        externs.attach(self.index, origin)
        self._externs, self.origin = externs, origin
        known = self.index.network()
        self.record = known or record
        if known is None or self.index.head < 0:
            self._begin(timestamp, origin)
        self.head = self.index.tipset(self.index.head)
        if self.head.next_settings == DEFAULT_SETTINGS:  # of a folder that an older program wrote
            self.head = replace(self.head, next_settings=self.rules.settings.first_settings(machine))
        self.states.add(self.head)
        self.index.chain_ids = self.index.chain_ids or [machine.context.chain_id]
        self.producer = producer_of(machine.base, self.head.block)
        self._enter(self.machine, self.head)
        self._point: ChainPoint | None = None
        self.building: BlockExecution | None = None
        """The block that this process produced last, or that failed."""

    @property
    def is_new_fork(self) -> bool:
        """True if the chain is a fork of an Ethereum network that has made no block yet."""
        return self.ethereum_fork is not None and self.head.height == self.index.first

    # --- for other threads ------------------------------------------------------------------------------------

    def point(self) -> ChainPoint:
        """Return the chain's current state; the same object until something changes. For the chain's own thread."""
        facts = self.head, self.record, self.producer, self.deferred, self.default_gas_limit, self.rewritten
        if self._point is None or self._point.facts != facts:
            context = self.machine.context
            self._point = ChainPoint(
                facts, tuple(self.index.chain_ids), rules_of(self.machine), facts[-1], context.chain_id,
                context.network.number, self.index.first, self.origin, self.machine.origin,
            )  # fmt: skip
        return self._point

    def view(self, point: ChainPoint) -> ChainView:
        """Return the chain at a point, for reading on another thread with a separate machine. For any thread."""
        index, externs = ChainIndex(self.machine.base, self.index), ChainExterns()
        machine = self.machine.reader(point.facts[0].state, externs)
        return ChainView(machine, index, externs, point)

    # --- making tipsets ---------------------------------------------------------------------------------------

    def produce(self, candidates: Iterable[Candidate], timestamp: int, null_rounds: int = 0) -> Tipset:
        """Execute a tipset after the head and commit it; null rounds come before it.

        Candidates that cannot be executed now (nonce, funds, fee cap) are omitted; see the tipset's `transactions`.
        Raises Fatal and store errors; the chain is then unchanged.
        """
        make = partial(self._apply_change, partial(self._produce, list(candidates), timestamp, null_rounds))
        # Each message of such a block would go to a thread that is fit for its guests, and back.
        has_guests = rules_of(self.machine).features.has_filecoin_blocks
        return self.machine.stacks.on_one_thread(make) if has_guests else make()

    def _apply_change(self, make: Callable[[], Tipset]) -> Tipset:
        """Commit the new head that `make` returns and notify the watchers; on failure the chain is unchanged."""
        started = time.monotonic()
        before = self.machine.snapshot(), self.head, self.record, self.producer
        try:
            tipset = make()
        except BaseException as error:
            self._restore(before, error)
            raise
        self.making_took = time.monotonic() - started
        for watcher in tuple(self.watchers):
            watcher.applied(tipset)
        return tipset

    @contextmanager
    def _undone_on_failure(self, before: Snapshot) -> Iterator[None]:
        """Restore the chain, and its machine to `before`, if the block inside fails (including its commit)."""
        point = before, self.head, self.record, self.producer
        try:
            yield
        except BaseException as error:
            self._restore(point, error)
            raise

    def check_writes(self) -> str:
        """Return why the last change of the store failed, and still does; empty if the store takes changes."""
        if self.write_failure:
            try:
                self.machine.base.commit((), {})
                self.write_failure = ""
            except StoreError as error:
                self.write_failure = str(error)
        return self.write_failure

    def _restore(self, point: tuple[Snapshot, Tipset, NetworkRecord, Address], error: BaseException) -> None:
        if isinstance(error, StoreIOError | StoreReadOnly):
            self.write_failure = str(error)
        before, self.head, self.record, self.producer = point
        self.index.head = self.head.height
        self.machine.restore(before)
        self._enter(self.machine, self.head)

    def _produce(self, candidates: list[Candidate], timestamp: int, null_rounds: int) -> Tipset:
        self.building = block = self._next_block(ChainEpoch(self.head.height + 1 + null_rounds), timestamp)
        block.begin()
        block.run_all(block_order(candidates), self.start_block)
        block.end()
        return self._commit(block)

    def _next_block(self, height: ChainEpoch, timestamp: int) -> BlockExecution:
        """Return the block after the head."""
        self._externs.executing = height
        return self.next_block(self.machine, self.head, height, timestamp)

    # --- committing -------------------------------------------------------------------------------------------

    def _begin(self, timestamp: int, origin: Origin | EthereumFork | None) -> None:
        """Commit the first tipset, which executes nothing: the genesis state, or the state of a forked network."""
        blocks = BufferedStore(self.machine.base)
        if origin is None:
            tipset = self._genesis(blocks, timestamp)
        else:
            from localnet.fork.forking import Origin  # loaded for forks only

            if isinstance(origin, Origin):
                tipset = self._begin_fork(blocks, origin.point)
            else:
                tipset = self.first(blocks, origin, timestamp)
        self._enter(self.machine, tipset)
        self.machine.flush(blocks.pending.items(), {**network_entries(self.record), **tipset_entries(tipset, [])})
        self.index.head = tipset.height

    def _begin_fork(self, blocks: Blockstore, fork: ForkPoint) -> Tipset:
        return Tipset(
            height=fork.height,
            key=fork.key,
            block=fork.blocks[0],
            parent=GENESIS_PARENT,
            timestamp=fork.timestamp,
            base_fee=fork.base_fee,
            next_base_fee=fork.next_base_fee,
            before=fork.state,
            state=self.machine.root,
            receipts=put_receipts(blocks, []),
            gas_used=Gas(0),
            bloom=EMPTY_BLOOM,
            transactions=(),
        )

    def _genesis(self, blocks: Blockstore, timestamp: int) -> Tipset:
        state = self.machine.root
        receipts, base_fee = put_receipts(blocks, []), self.rules.fees.first_base_fee
        next_settings = self.rules.settings.first_settings(self.machine)
        settings = next_settings if self.default_gas_limit is None else self._with_default_gas_limit(next_settings)
        messages, mixed = put_messages(blocks, []), settings.encode_for_header(self.rules.chain_id)
        header = BlockHeader(NO_PRODUCER, ChainEpoch(0), (), state, receipts, messages, timestamp, base_fee, mixed)
        block = header.put(blocks)
        return Tipset(
            height=ChainEpoch(0),
            key=tipset_key([block]),
            block=block,
            parent=GENESIS_PARENT,
            timestamp=timestamp,
            base_fee=base_fee,
            next_base_fee=base_fee,
            before=state,
            state=state,
            receipts=receipts,
            gas_used=Gas(0),
            bloom=EMPTY_BLOOM,
            transactions=(),
            settings=settings,
            next_settings=next_settings,
        )

    def _commit(self, block: BlockExecution) -> Tipset:
        blocks, height = BufferedStore(self.machine.base), block.height
        tipset = block.assemble(blocks)
        entries = tipset_entries(tipset, block.executions, block.implicit, self.index)
        retained = self.states.entries_with(height)
        entries |= retained
        if block.sidecars:
            entries.update(blob_entries(block.sidecars))
        self.machine.flush(blocks.pending.items(), entries)
        self.write_failure = ""
        if retained:
            self.index.refresh_retained()
        self.states.add(tipset, bool(retained))
        self.head, self.index.head = tipset, height
        self._enter(self.machine, tipset)
        return tipset

    # --- what is planned --------------------------------------------------------------------------------------

    def plan(self, upgrades: Iterable[Upgrade], bundles: Iterable[Bundle] = ()) -> None:
        """Plan upgrades at the head or after it, and keep the bundles that they need.

        Raises InvalidInput, also for an upgrade that would fail on the head's state and so stop the chain.
        """
        changed = self.record.upgrades.with_more(upgrades, self.head.height, self.record.overlay)
        if changed == self.record.upgrades:
            return
        opened = list(bundles)
        for bundle in opened:
            modules = MemoryStore()
            modules.put_many(bundle.blocks)
            register_actors(self.machine.registry, bundle.manifest, modules)
        rehearse_upgrades(self.machine, changed, self.head.height, opened, self.record.upgrades)
        record = replace(self.record, upgrades=changed)
        blocks = [block for bundle in opened for block in bundle.blocks]
        self.machine.base.commit(blocks, bundle_pins(opened), network_entries(record))
        self.record = record

    def forget_plan(self, upgrades: Upgrades) -> None:
        """Restore the previous plan."""
        record = replace(self.record, upgrades=upgrades)
        self.machine.base.commit((), {}, network_entries(record))
        self.record = record

    # --- moving the head --------------------------------------------------------------------------------------

    def restart(
        self,
        origin: EthereumFork | None,
        begin: Callable[[Blockstore], Sequence[tuple[Tipset, list[Execution]]]],
    ) -> Tipset:
        """Replace the chain by a new one, and return its head; `origin` is the node of a fork.

        `begin` changes the machine's state to that of the head. It returns the tipsets of the new chain, oldest first,
        with their executions, and puts their headers into a store. The chain is unchanged if it fails.
        """
        blocks, accounts = BufferedStore(self.machine.base), self.machine.origin
        chain_id, reported = self.machine.context.chain_id, self.index.first
        try:
            with self._undone_on_failure(self.machine.snapshot()):
                tipsets = begin(blocks)
                self.producer, head = NO_PRODUCER, tipsets[-1][0]
                self._enter(self.machine, head)
                self.rewritten += 1  # before the index changes, as in `go_back`
                self.machine.flush(blocks.pending.items(), self._new_entries(tipsets, origin))
        except BaseException:
            self.machine.advance(chain_id=chain_id)
            self.machine.read_from(accounts)
            raise
        self.index.refresh_retained()
        self.states.restart(head)
        for watcher in tuple(self.watchers):
            watcher.reverted(self._above(reported), head)
        self.head, self.origin = head, origin
        self.index.head, self.index.first = head.height, tipsets[0][0].height
        self.index.chain_ids = [self.machine.context.chain_id]
        self._externs.attach(self.index, origin)
        return head

    def first(self, blocks: Blockstore, origin: EthereumFork | None, timestamp: int) -> Tipset:
        """Return the tipset that a chain begins with at the machine's state: a genesis, or that of a fork."""
        if origin is None:
            return self._genesis(blocks, timestamp)
        return first_tipset(blocks, origin, self.machine.root, self.machine.context.chain_id, self.rules)

    def _fork_entries(self, origin: EthereumFork | None) -> dict[bytes, bytes | None]:
        from localnet.fork.ethereum_fork import forgotten_entries  # loaded for forks, and to reset them

        return forgotten_entries() if origin is None else origin.point.entries()

    def _new_entries(
        self, tipsets: Sequence[tuple[Tipset, list[Execution]]], origin: EthereumFork | None
    ) -> dict[bytes, bytes | None]:
        """Return the index entries of a chain of these tipsets; only the last one's state is stored."""
        entries = {
            **self._fork_entries(origin),
            **first_entries(tipsets[0][0].height),
            **chain_ids_entries([self.machine.context.chain_id]),
            **network_entries(self.record),
            **retained_entries(tipsets[-1][0].height),
        }
        for tipset, executions in tipsets:
            entries |= tipset_entries(tipset, executions)
        return entries

    def go_back(self, tipset: Tipset, upgrades: Upgrades | None = None, *, remembered: bool = False) -> None:
        """Make an earlier tipset the head again, with the state in `tipset`.

        `upgrades` replaces the planned upgrades; None keeps them. The states of a `remembered` tipset are always
        available. Raises InvalidInput if the state was collected, and store errors; the chain is then unchanged.
        """
        if not remembered:
            self._check_retained(tipset)
        with self._undone_on_failure(self.machine.snapshot()):
            self.machine.restore(Snapshot(tipset.state, {}))
            self.record = replace(self.record, upgrades=upgrades or self.record.upgrades)
            self._enter(self.machine, tipset)
            producer = producer_of(self.machine.base, tipset.block)
            self.rewritten += 1  # before the index changes: a question that reads the change must find it counted
            entries = {**head_entries(tipset.height), **changed_entries(tipset), **network_entries(self.record)}
            if tipset.height < self.index.retained:
                entries |= retained_entries(tipset.height)
            self.machine.flush((), entries)
        self.index.refresh_retained()
        self.states.go_back(tipset)
        for watcher in tuple(self.watchers):  # later tipsets remain readable until the head has moved
            watcher.reverted(self._above(tipset.height), tipset)
        self.head, self.index.head, self.producer = tipset, tipset.height, producer

    def _above(self, height: int) -> Iterator[Tipset]:
        """Yield the tipsets above a height, newest first."""
        tipset = self.head
        while tipset.height > height:
            yield tipset
            tipset = self.index.tipset(tipset.parent)

    def adopt(self, state: Cid, blocks: Mapping[Cid, bytes], height: ChainEpoch, timestamp: int) -> Tipset:
        """Commit a tipset with a given state and no messages, whose height and time are after the head's.

        `blocks` are those of the state that the store may lack.
        """
        return self._apply_change(lambda: self._adopt(state, blocks, height, timestamp))

    def _adopt(self, state: Cid, blocks: Mapping[Cid, bytes], height: ChainEpoch, timestamp: int) -> Tipset:
        parent = self.head
        height = ChainEpoch(max(height, parent.height + 1))
        timestamp = max(timestamp, parent.timestamp + 1)
        self.machine.restore(Snapshot(state, blocks))
        self.machine.advance(epoch=height, timestamp=timestamp, base_fee=parent.next_base_fee)
        self.producer = NO_PRODUCER  # a miner of another state
        return self._commit(self._next_block(height, timestamp))

    def set_next_base_fee(self, base_fee: TokenAmount) -> None:
        """Set the base fee of the next tipset, in attoFIL per gas; later ones follow the rule again."""
        with self._undone_on_failure(self.machine.snapshot()):
            self.head = replace(self.head, next_base_fee=base_fee)
            self.machine.flush((), changed_entries(self.head))

    def set_default_gas_limit(self, limit: Gas) -> None:
        """Set the default gas limit of later blocks."""
        self.default_gas_limit = limit
        self._enter(self.machine, self.head)

    def set_next_settings(self, settings: BlockSettings) -> None:
        """Set the settings of the next tipsets; calls at the head use them too (but not their randomness)."""
        chain_ids, entries = self.index.chain_ids, dict[bytes, bytes | None]()
        if settings.chain_id is not None and settings.chain_id not in chain_ids:
            chain_ids = [*chain_ids, settings.chain_id]
            entries = chain_ids_entries(chain_ids)
        with self._undone_on_failure(self.machine.snapshot()):
            self.head = replace(self.head, next_settings=settings)
            self._enter(self.machine, self.head)
            self.machine.flush((), {**changed_entries(self.head), **entries})
        self.index.chain_ids = chain_ids

    def keep_changes(self) -> None:
        """Commit direct changes to the head's state. If the commit fails, they are reverted."""
        self.rewritten += 1  # before the index changes, as in `go_back`
        with self._undone_on_failure(Snapshot(self.head.state, {})):
            self.head = replace(self.head, state=self.machine.root)
            self._enter(self.machine, self.head)
            self.machine.flush((), changed_entries(self.head))
        self.states.go_back(self.head)
