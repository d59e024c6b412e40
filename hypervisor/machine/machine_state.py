"""The state on which messages are executed, its context and its runtimes: ref-fvm's machine.

`Hypervisor` (`hypervisor.machine.machine`) opens one and applies messages to it; the calls of a message read and change
it. Writes are buffered, and `flush` commits the blocks reachable from the new state root.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Protocol

from hypervisor.bundles.manifest import Manifest
from hypervisor.context import CirculatingSupply, DevelopmentExterns, Externs, MachineContext
from hypervisor.errors import BundleError, Fatal, InvalidInput
from hypervisor.kernel.blocks import ScannedBlocks
from hypervisor.kernel.call import CONTRACT_TRAITS, NATIVE_TRAITS, CodeTraits, Interceptor
from hypervisor.machine.opening import MACHINE, installed_record, machine_record, register_actors
from hypervisor.machine.registry import Registry
from hypervisor.messages.address import Address
from hypervisor.proofs.verifier import ProofVerifier, RefuseProofs
from hypervisor.state.state_tree import ActorState, StateOrigin, StateTree
from hypervisor.text import PrintedAmount, PrintedCid
from hypervisor.threads import ShortExecutions, Stacks
from hypervisor.tracing import LOGGER, Flushed, Tracer
from hypervisor.types import ActorID, ChainEpoch, TokenAmount, check_type
from hypervisor.versions.network_versions import NetworkVersion
from hypervisor.versions.stream_settings import StreamSettings
from store.blocks.memory import BufferedStore
from store.blockstore import NOTHING, Blockstore, HeadMoved, SpillStore, Store, StoreClosed
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, Cid, show
from store.roots import HEAD, INSTALLED, SPILLED
from store.storage import Storage

NAME_PREFIX: Final = b"name/"
"""Prefix of metadata keys that map the CIDs of users' code to names."""

_LOG: Final = logging.getLogger(LOGGER)


def _listen() -> None:
    """Enable INFO records unless the logger is configured already; by default, Python drops records below WARNING."""
    if _LOG.level == logging.NOTSET:
        _LOG.setLevel(logging.INFO)


class Snapshot(NamedTuple):
    """A state to restore, with the blocks that are not in the store yet."""

    root: Cid
    pending: Mapping[Cid, bytes]


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Services and options of a machine."""

    registry: Callable[[Manifest, BufferedStore], Registry]
    """Function that returns the registry of runtimes for a manifest and the machine's store."""
    externs: Externs | None = None
    """Access to the chain; None for `DevelopmentExterns`."""
    proofs: ProofVerifier | None = None
    """Verifier of proofs; None refuses them."""
    tracer: Tracer | None = None
    actor_debugging: bool = False
    """True if actors log (`Kernel.debug_enabled`)."""
    pending: Mapping[Cid, bytes] = field(default_factory=dict)
    """Blocks of the state that are not in the store yet."""
    installed: tuple[Cid, ...] = ()
    """Code CIDs of installed modules."""
    origin: StateOrigin | None = None
    """Source of actors that are not in the state (`StateTree.read_from`)."""


class MachineState:
    """A state tree over a store, its context, and the runtimes of its actors."""

    def __init__(
        self,
        base: Store,
        root: Cid,
        context: MachineContext,
        settings: MachineSettings,
    ) -> None:
        self.base = base
        self.store = BufferedStore(base)
        self._hold(settings.pending)
        self.context = context
        self.externs: Externs = settings.externs or DevelopmentExterns()
        self.proofs: ProofVerifier = settings.proofs or RefuseProofs()
        self.tracer = settings.tracer
        self.interceptor: Interceptor[Any] | None = None
        """Interceptor of calls; receives the `CallManager` of the message."""
        self.short: ShortExecutions | None = None
        """Limit of the executions; None permits all of them."""
        self.actor_debugging = settings.actor_debugging
        self._is_quiet = self._is_closed = False
        if settings.actor_debugging:
            _listen()
        self.blocks = ScannedBlocks()
        self.stacks = Stacks()
        self.kept: dict[str, Any] = {}
        """Objects that runtimes keep for this machine, by a name of their own."""
        self.origin = settings.origin
        """Source of actors that are not in the state (`StateTree.read_from`), or None."""
        self.state_tree = self._tree(root)
        self.manifest = self._load_manifest()
        self.registry = settings.registry(self.manifest, self.store)
        self._installed = settings.installed
        self._has_spilled = False
        """True if blocks were moved to the store before their root (`spill`)."""
        self._all_installed: tuple[tuple[Cid, ...], Cid | None, frozenset[Cid]] = ((), None, frozenset())

    def _tree(self, root: Cid) -> StateTree:
        tree = StateTree(self.store, root)
        tree.read_from(self.origin)
        return tree

    def read_from(self, origin: StateOrigin | None) -> None:
        """Take actors that are neither written nor in the state from an origin, on this state and those after it."""
        self.origin = origin
        self.state_tree.read_from(origin)

    def _load_manifest(self) -> Manifest:
        try:
            return Manifest.of_state(self.store, self.state_tree)
        except BundleError as error:
            raise Fatal(str(error)) from error

    # --- reading ----------------------------------------------------------------------------------------------

    def actor(self, address: Address) -> ActorState | None:
        """Return the state of the actor at an address, or None."""
        if not isinstance(address, Address):
            check_type(address, Address, "address", "an Address; Address.parse reads text")
        actor = self.state_tree.lookup_id(address)
        return None if actor is None else self.state_tree.get_actor(actor)

    def balance(self, address: Address) -> PrintedAmount:
        """Return the balance in attoFIL at an address, 0 if there is no actor. It prints in FIL."""
        state = self.actor(address)
        return PrintedAmount(0 if state is None else state.balance)

    def name_of(self, code: Cid) -> str:
        """Return the name of code: that of a built-in actor, the one it was installed under, or `actor`."""
        built_in = self.manifest.name_of(code)
        if built_in is not None:
            return built_in
        name = self.base.metadata(NAME_PREFIX + code)
        return "actor" if name is None else name.decode("utf-8", "replace")

    def storage(self, address: Address) -> Storage:
        """Return a view of the state of the actor at an address, to read and to change.

        `put` stages an object and returns its CID; an object that contains this CID links to it. `commit` replaces the
        state, which `head` names, by a staged object with all that it links to; objects that the state does not link to
        are dropped. `get` returns an encoded object. What is committed is part of the machine's state at once, and
        `flush` keeps it. Raises InvalidInput if there is no actor.

        >>> from hypervisor import Address, Genesis, Hypervisor, fil
        >>> from store.codec import decode, unlink
        >>> alice = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
        >>> machine = Hypervisor.open(genesis=Genesis(accounts={alice: fil(1)}))
        >>> with machine.storage(alice) as storage:
        ...     child = storage.put({"name": "Alice"})
        ...     parent = storage.put([7, child])  # contains a link to the child
        ...     storage.commit(storage.head(), parent)
        >>> _ = machine.flush()
        >>> storage = machine.storage(alice)
        >>> number, link = decode(storage.get(storage.head()))
        >>> number, decode(storage.get(unlink(link)))
        (7, {'name': 'Alice'})
        """
        if not isinstance(address, Address):
            check_type(address, Address, "address", "an Address; Address.parse reads text")
        return Storage(self.store, ActorHead.of(self, address))

    @property
    def root(self) -> PrintedCid:
        """The state root including all applied messages. It prints as a CID's text."""
        return PrintedCid(self.state_tree.flush())

    def traits(self, code: Cid) -> CodeTraits:
        """Return the properties of actors with a code: whether they are contracts, and are called as such."""
        if code == self.manifest.code("evm"):
            return CONTRACT_TRAITS
        is_built_in = self.manifest.name_of(code) is not None
        return NATIVE_TRAITS if is_built_in else self.registry.traits(code, self.store.get)

    @property
    def installed(self) -> tuple[Cid, ...]:
        """The code CIDs of installed user modules."""
        return self._installed

    def installed_module(self, code: Cid) -> bytes | None:
        """Return the module installed under a code CID; None for any other block of the store."""
        return self.store.get(code) if self.has_installed(code) else None

    def has_installed(self, code: Cid) -> bool:
        """Return True if a module is installed under a code CID: by `install`, or in the state by the init actor.

        A block that is merely in the store does not count, since another machine at this state may not have it.
        """
        listed = self.state_tree.init_state().installed if self.context.network.rules.installs_code else None
        own, known, codes = self._all_installed
        if own is not self._installed or known != listed:
            codes = frozenset((*self._installed, *(() if listed is None else self.state_tree.installed_codes(listed))))
            self._all_installed = self._installed, listed, codes
        return code in codes and self.store.has(code)

    # --- writing ----------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        """Raise StoreClosed if the machine is closed: a store in memory would still accept its changes."""
        if self._is_closed:
            raise StoreClosed("the machine is closed: open its folder again, or another machine")

    def flush(
        self,
        chain: Iterable[tuple[Cid, bytes]] = (),
        index: Mapping[bytes, bytes | None] = NOTHING,
        metadata: Mapping[bytes, bytes | None] = NOTHING,
    ) -> Cid:
        """Commit the state: the blocks reachable from the new root, and the root as head, in one durable step.

        `chain` and `index` are further blocks (headers, messages, receipts) and index changes of a chain to commit in
        the same step, `metadata` further entries of the folder. Raises StoreClosed if the machine is closed.
        """
        if self._is_closed:
            self._check_open()
        root = self.state_tree.flush()
        blocks = dict(self.store.reachable(root))
        if self._installed:  # drop those whose installation was rolled back
            self._installed = tuple(code for code in self._installed if self.store.has(code))
        for cid in (EMPTY_ARRAY_CID, *self._installed):
            if cid in self.store.pending:
                blocks[cid] = self.store.pending[cid]
        self.base.commit(
            blocks.items(),
            {
                HEAD: root,
                MACHINE: machine_record(self.context),
                INSTALLED: installed_record(self._installed),
                **({SPILLED: None} if self._has_spilled else {}),
                **metadata,
            },
            index,
            NOTHING,
            chain,
        )
        self.store.clear()
        self._has_spilled = False
        if self.tracer is not None:
            self.tracer.event(Flushed(root, len(blocks)))
        return root

    def advance(
        self,
        *,
        epoch: ChainEpoch | None = None,
        timestamp: int | None = None,
        base_fee: TokenAmount | None = None,
        circulating_supply: CirculatingSupply | None = None,
        chain_id: int | None = None,
        network: NetworkVersion | None = None,
        block: object | None = None,
    ) -> None:
        """Change the context for later messages; None keeps a value. Units as in `MachineContext`."""
        now = self.context
        self.context = MachineContext(  # by position, which takes a quarter of the time
            network or now.network,
            now.epoch if epoch is None else epoch,
            now.timestamp if timestamp is None else timestamp,
            now.base_fee if base_fee is None else base_fee,
            now.chain_id if chain_id is None else chain_id,
            now.circulating_supply if circulating_supply is None else circulating_supply,
            now.rules,
            now.block if block is None else block,
            now.precompiles,
        )

    def upgrade(
        self,
        network: NetworkVersion,
        manifest: Manifest | None = None,
        streams: StreamSettings | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Migrate the state to another network version, and use that version's rules.

        `manifest` has other built-in actors, whose blocks must be in the store; None keeps the actors.
        `migration.check_migration` defines the supported upgrades. `streams` replaces the network's own values for the
        reward actor at network version 29. `progress` is called with the number of actors processed. Raises
        InvalidInput if none of the new actors runs contracts, or if the state cannot be migrated; in these cases
        nothing changes.

        The new blocks of a large state are moved to a store in a folder at intervals, which bounds their memory.
        """
        from hypervisor.migrations.migration import (  # most machines are not upgraded
            migrate_draft,
            migrate_state,
            migrates_draft,
        )

        check_type(network, NetworkVersion, "network", "a NetworkVersion, such as network_version(29)")
        before, epoch, tree = self.context.network, self.context.epoch, self.state_tree

        def spilling(actors: int) -> None:
            self.spill(self.store)
            if progress is not None:
                progress(actors)

        actors = self.manifest if manifest is None else manifest
        if manifest is not None:
            register_actors(self.registry, manifest, self.store)
            tree = self._tree(migrate_state(tree, self.manifest, manifest, before, network, epoch, streams, spilling))
        if migrates_draft(before.number, network):
            tree = self._tree(migrate_draft(tree, actors, network, epoch, spilling))
        self.state_tree, self.manifest = tree, actors
        self.advance(network=network)

    def spill(self, buffer: BufferedStore) -> None:
        """Write the blocks of this machine's buffer, and of a buffer on top of it, to a store in a folder.

        The next `flush` commits a root; until then a collection keeps the blocks. Stores in memory and stores opened
        for reading are not changed.
        """
        if isinstance(self.base, SpillStore) and self.base.is_writable:
            self._has_spilled = True
            self.store.spill(self.base)
            buffer.spill(self.base)

    # --- actor logs -------------------------------------------------------------------------------------------

    def log_actor(self, actor: ActorID, text: str) -> None:
        """Log a message of an actor, with its name."""
        if self._is_quiet:
            return
        state = self.state_tree.get_actor(actor)
        _LOG.info("f0%d %s: %s", actor, "actor" if state is None else self.name_of(state.code), text)

    @property
    def is_quiet(self) -> bool:
        """True inside `quiet`."""
        return self._is_quiet

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Suppress actor logs in this context, in which messages are only simulated."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    @contextmanager
    def traced(self, tracer: Tracer | None) -> Iterator[None]:
        """Send the events of executions inside to a tracer, in place of the machine's own; None sends none."""
        before, self.tracer = self.tracer, tracer
        try:
            yield
        finally:
            self.tracer = before

    # --- rollback ---------------------------------------------------------------------------------------------

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Roll back everything applied in this context, including the blocks written."""
        mark = self.state_tree.begin()
        written = len(self.store.pending)
        try:
            yield
        finally:
            self.state_tree.rollback(mark)
            self.store.forget_after(written)

    def snapshot(self) -> Snapshot:
        """Return the current state, to restore with `restore`."""
        return Snapshot(self.state_tree.flush(), dict(self.store.pending))

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot; the context (epoch, base fee) is unchanged."""
        if not isinstance(snapshot, Snapshot):
            check_type(snapshot, Snapshot, "snapshot", "a Snapshot, as snapshot() returns it")
        self.store.clear()
        self._hold(snapshot.pending)
        self.state_tree = self._tree(snapshot.root)
        self._use(self._load_manifest())

    def follow_manifest(self) -> None:
        """Reload the manifest after the state was replaced by that of another network."""
        self._use(self._load_manifest())

    def _use(self, manifest: Manifest) -> None:
        """Switch to the actors of a manifest."""
        if manifest.data != self.manifest.data:
            register_actors(self.registry, manifest, self.store)
            self.manifest = manifest

    def _hold(self, pending: Mapping[Cid, bytes]) -> None:
        self.store.put_many(pending.items())
        if not self.store.has(EMPTY_ARRAY_CID):  # the state of new actors, which a foreign state may lack
            self.store.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)


class StateHolder(Protocol):
    """An object that provides the actors' states: a machine."""

    @property
    def state_tree(self) -> StateTree:
        """The current state tree."""

    @property
    def store(self) -> Blockstore:
        """The blocks of the actors' states."""


@dataclass(frozen=True, slots=True)
class ActorHead:
    """The root of an actor's state, read and committed from Python, for development and tests.

    On the network, only an actor changes its state. Commits are stored in the machine's buffer until it is flushed.
    Source: ref-fvm kernel/default.rs `root`, `set_root`.
    """

    machine: StateHolder
    actor: ActorID

    @classmethod
    def of(cls, machine: StateHolder, address: Address) -> ActorHead:
        """Return the head of the actor at an address. Raises InvalidInput if there is no actor."""
        actor = machine.state_tree.lookup_id(address)
        if actor is None or machine.state_tree.get_actor(actor) is None:
            raise InvalidInput(f"no actor has the address {address}; only actors have a state")
        return cls(machine, actor)

    def read(self) -> Cid:
        return self._state().head

    def check(self, old: Cid | None) -> None:
        """Raise HeadMoved if the root is not `old`."""
        found = self.read()
        if found != old:
            expected = "none" if old is None else show(old)
            raise HeadMoved(f"the state of f0{self.actor}: expected {expected}, found {show(found)}")

    def move(self, old: Cid | None, new: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store the blocks and set the root."""
        self.check(old)
        self.machine.store.put_many(blocks)
        self.machine.state_tree.set_actor(self.actor, replace(self._state(), head=new))

    def _state(self) -> ActorState:
        state = self.machine.state_tree.get_actor(self.actor)
        if state is None:
            raise InvalidInput(f"actor f0{self.actor} was deleted, including its state")
        return state
