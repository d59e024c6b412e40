"""`Hypervisor`: a state, the rules of a network version, and the runtimes that execute actors on it.

This is what ref-fvm calls the machine. It applies messages one at a time, keeps their writes in a buffer and commits,
on `flush`, what the new state root links to. Chain, clock, mempool and wallets are others' (a local network's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypervisor.address import Address
from hypervisor.blocks import ScannedBlocks
from hypervisor.bundle import Bundle, Manifest
from hypervisor.context import MachineContext
from hypervisor.deep_stack import Stacks
from hypervisor.errors import BundleError, Fatal, HypervisorError, InvalidInput
from hypervisor.executor import ApplyResult
from hypervisor.externs import DevelopmentExterns, Externs
from hypervisor.genesis import Genesis
from hypervisor.interception import Interceptor
from hypervisor.message import Message, SignedMessage
from hypervisor.migration import migrated
from hypervisor.migration_nv29 import StreamSettings
from hypervisor.network_versions import NetworkVersion, versions_passed
from hypervisor.opening import (
    IN_MEMORY,
    MACHINE,
    OWN_EVM,
    check_bundle,
    choose_context,
    first_state,
    installed_codes,
    installed_record,
    learn_actors,
    machine_record,
    open_store,
    registry_factory,
)
from hypervisor.proofs import ProofVerifier, RefuseProofs
from hypervisor.registry import NATIVE, Registry
from hypervisor.rules import executor_factory
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.tracing import Flushed, Tracer
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID, ChainEpoch, TokenAmount
from store.blockstore import NOTHING, BlockNotFound, Store, get_object
from store.buffered import BufferedStore
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import CodecError, encode, unlink
from store.overlay import OverlayStore
from store.roots import HEAD, INSTALLED

if TYPE_CHECKING:
    from collections.abc import Callable


class CreationFailed(HypervisorError):
    """An actor's constructor refused; `result` has its exit code and words. Nothing of the actor is left."""

    def __init__(self, result: ApplyResult) -> None:
        super().__init__(f"the constructor exited with {result.exit_code}: {result.message or 'no message'}")
        self.result = result


@dataclass(frozen=True, slots=True)
class Created:
    """A new actor: its ID, its robust f2 address, and how its constructor ended."""

    id: ActorID
    address: Address
    result: ApplyResult


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state to come back to; holds the blocks that are not in the store yet."""

    root: Cid
    pending: Mapping[Cid, bytes]


class Hypervisor:
    """A machine over a store. Make one with `Hypervisor.open`.

    One thread at a time may use a machine; forks may be used beside it.
    """

    def __init__(
        self,
        base: Store,
        root: Cid,
        context: MachineContext,
        *,
        registry: Callable[[Manifest, BufferedStore], Registry],
        externs: Externs | None = None,
        proofs: ProofVerifier | None = None,
        tracer: Tracer | None = None,
        actor_debugging: bool = False,
        pending: Mapping[Cid, bytes] | None = None,
        installed: tuple[Cid, ...] = (),
    ) -> None:
        self.base = base
        self.store = BufferedStore(base)
        self._hold(pending or {})
        self.context = context
        self.externs: Externs = externs or DevelopmentExterns()
        self.proofs: ProofVerifier = proofs or RefuseProofs()
        self.tracer = tracer
        self.interceptor: Interceptor | None = None
        self.actor_debugging = actor_debugging
        self.blocks = ScannedBlocks()
        self.stacks = Stacks()
        self.state_tree = StateTree(self.store, root)
        self.manifest = self._load_manifest()
        self.registry = registry(self.manifest, self.store)
        self._rules = context.rules
        self.executor = executor_factory(context.rules)(self)
        self._installed = installed

    # --- opening ----------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: str | Path = IN_MEMORY,
        *,
        bundle: Bundle | str | Path | None = None,
        network: int | None = None,
        rules: str | None = None,
        evm: str = OWN_EVM,
        genesis: Genesis | None = None,
        context: MachineContext | None = None,
        externs: Externs | None = None,
        proofs: ProofVerifier | None = None,
        tracer: Tracer | None = None,
        actor_debugging: bool = False,
        options: Mapping[str, str] | None = None,
        store: Store | None = None,
    ) -> Hypervisor:
        """Open a state folder, or `:memory:`; an empty one gets a genesis from `bundle` (default: our own).

        `bundle` may also be what `Bundle.open` takes: a name as `v18`, a CAR file. `network` is a network version's
        number (default: the folder's, else the newest with the bundle's actors); `rules` names the rules, `filecoin`
        (the default) or a set that is installed; `evm` says who runs contracts: `py-evm`, `fast` or `both` (this
        project's EVM runtime, on those engines), `official` (the bundle's own EVM actor) or `auto` (that one where the
        bundle has it). Only a new state takes a `genesis`. `store` is one that is open already, in place of the path;
        it is closed with the machine.
        Raises InvalidInput for a folder under other rules or of another bundle and (as BundleError) for a bundle that
        cannot be had, `store.blockstore.StoreError` for a folder that cannot be opened.
        """
        registry = registry_factory(evm, options or {})
        if isinstance(bundle, str | Path):
            bundle = Bundle.open(bundle)
        first = genesis or Genesis()
        base = open_store(path) if store is None else store
        try:
            head = base.metadata(HEAD)
            begun = choose_context(base, network, rules, context, bundle)
            pending, root = first_state(base, bundle, first, begun.network) if head is None else ({}, Cid(head))
            machine = cls(
                base,
                root,
                begun,
                registry=registry,
                externs=externs,
                proofs=proofs,
                tracer=tracer,
                actor_debugging=actor_debugging,
                pending=pending,
                installed=installed_codes(base),
            )
            if head is None:
                machine._construct_singletons(first)
                machine.flush()
            else:
                check_bundle(bundle, machine.manifest)
        except BaseException:
            base.close()
            raise
        return machine

    @classmethod
    def at(
        cls,
        base: Store,
        root: Cid,
        context: MachineContext,
        *,
        evm: str = "official",
        externs: Externs | None = None,
        proofs: ProofVerifier | None = None,
        tracer: Tracer | None = None,
    ) -> Hypervisor:
        """A machine at any state root whose blocks `base` holds: for vectors, archives, other people's states."""
        registry = registry_factory(evm, {})
        return cls(base, root, context, registry=registry, externs=externs, proofs=proofs, tracer=tracer)

    def _load_manifest(self) -> Manifest:
        system = self.state_tree.get_actor(SYSTEM_ACTOR)
        if system is None:
            raise Fatal("the state tree has no system actor (f00)")
        try:
            (manifest,) = get_object(self.store, system.head)
            return Manifest.load(self.store, unlink(manifest))
        except (CodecError, BlockNotFound, BundleError, TypeError, ValueError) as error:
            raise Fatal(f"the state of the system actor (f00) names no manifest that can be read: {error}") from error

    def _construct_singletons(self, genesis: Genesis) -> None:
        for actor, params in genesis.constructors():
            self._construct(actor, SYSTEM_ACTOR, params)

    # --- messages ---------------------------------------------------------------------------------------------

    def apply(self, message: Message | SignedMessage, raw_length: int | None = None) -> ApplyResult:
        """Apply an explicit message; signatures are the chain's to check.

        `raw_length` is its length on chain in bytes; by default the CBOR length, with a signature of 65 bytes for the
        senders whose signatures are carried. Raises MessageError for fields that no message may have. Where execution
        could not go on, the receipt says 10 and `fatal` of the result says why: look at it.
        """
        if isinstance(message, SignedMessage):
            raw_length = message.chain_length() if raw_length is None else raw_length
            message = message.message
        message.check()
        return self._applied(message, message.chain_length() if raw_length is None else raw_length)

    def apply_implicit(self, message: Message) -> ApplyResult:
        """Apply a message of the system itself: no checks of the sender, no fees, no nonce."""
        message.check()
        return self._applied(message, 0, implicit=True)

    def _applied(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        if self.context.rules != self._rules:
            raise InvalidInput(
                f"the machine was opened under the rules '{self._rules}', its context is of '{self.context.rules}'"
            )
        return self.executor.apply(message, raw_length, implicit)

    def call(self, message: Message) -> ApplyResult:
        """What `apply_implicit` would answer, with nothing kept."""
        with self.trial():
            return self.apply_implicit(message)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Whatever is applied inside is taken back at the end, the blocks that it wrote included."""
        mark = self.state_tree.begin()
        written = len(self.store.pending)
        try:
            yield
        finally:
            self.state_tree.rollback(mark)
            self.store.forget_after(written)

    # --- actors -----------------------------------------------------------------------------------------------

    def install(self, module: bytes) -> Cid:
        """Keep a user's WASM module and return its code CID. Raises InvalidModule if the rules refuse it.

        The network does not let users install code yet; this machine does, for development.
        """
        code = cid_of(module, RAW)
        name, runtime = self.registry.runtime_for(code)
        if name != NATIVE:
            raise InvalidInput(f"code {show(code)} belongs to the runtime '{name}' and cannot be installed")
        runtime.prepare({code: module})
        self.store.put(code, module)
        if code not in self._installed:
            self._installed = (*self._installed, code)
        return code

    def prepare(self) -> None:
        """Compile all modules of the bundle and of users now, on all cores, instead of each at its first call."""
        names = self.registry.names()
        native = [code for code in (*self.manifest.codes, *self._installed) if names.get(code, NATIVE) == NATIVE]
        modules = {code: self.store.get(code) for code in native if self.store.has(code)}
        if modules:
            _, runtime = self.registry.runtime_for(next(iter(modules)))
            runtime.prepare(modules)

    def create(self, code: Cid, params: bytes = b"", value: TokenAmount = TokenAmount(0)) -> Created:
        """Create an actor with `code`, running its constructor (method 1) as the init actor would.

        For development: on the network only the init actor creates actors, and only of the kinds that it allows.
        `params` are the constructor's, in CBOR; `value` in attoFIL comes from nowhere. Raises CreationFailed, with
        nothing left.
        """
        if not self.store.has(code):
            raise InvalidInput(f"no module is installed under {show(code)}: install it first")
        tree = self.state_tree
        mark = tree.begin()
        try:
            seed = encode(Address.id(SYSTEM_ACTOR).to_bytes()) + tree.init_state().next_id.to_bytes(8, "big")
            address = Address.actor(seed + bytes(8))
            actor = tree.register_address(address)
            tree.set_actor(actor, ActorState(code, balance=value))
            result = self._construct(actor, INIT_ACTOR, params)
        except BaseException:
            tree.rollback(mark)
            raise
        tree.commit()
        return Created(actor, address, result)

    def _construct(self, actor: ActorID, creator: ActorID, params: bytes) -> ApplyResult:
        message = Message(Address.id(actor), Address.id(creator), method=METHOD_CONSTRUCTOR, params=params)
        result = self.apply_implicit(message)
        if result.fatal is not None:
            raise result.fatal
        if result.exit_code:
            raise CreationFailed(result)
        return result

    def actor(self, address: Address) -> ActorState | None:
        """The state of the actor behind an address, None if there is none."""
        actor = self.state_tree.lookup_id(address)
        return None if actor is None else self.state_tree.get_actor(actor)

    def balance(self, address: Address) -> TokenAmount:
        """The balance in attoFIL behind an address, 0 if there is no actor."""
        state = self.actor(address)
        return TokenAmount(0) if state is None else state.balance

    # --- state ------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Cid:
        """The state root with everything applied so far."""
        return self.state_tree.flush()

    def flush(self, chain: Iterable[tuple[Cid, bytes]] = (), index: Mapping[bytes, bytes | None] = NOTHING) -> Cid:
        """Commit the state: the blocks that the new root links, and the root as head, in one durable step.

        A chain around the machine gives blocks of its own (headers, messages, receipts) and changes of its index, which
        are committed in the same step.
        """
        root = self.state_tree.flush()
        blocks = dict(self.store.reachable(root))
        blocks.update(chain)
        if self._installed:  # without those that were taken back
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
            },
            index,
        )
        self.store.clear()
        if self.tracer is not None:
            self.tracer.event(Flushed(root, len(blocks)))
        return root

    def advance(
        self,
        *,
        epoch: ChainEpoch | None = None,
        timestamp: int | None = None,
        base_fee: TokenAmount | None = None,
        circulating_supply: TokenAmount | None = None,
        chain_id: int | None = None,
        network: NetworkVersion | None = None,
        block: object | None = None,
    ) -> None:
        """Change the context for the messages to come; what is not named stays. Units as in `MachineContext`."""
        now = self.context
        self.context = MachineContext(
            rules=now.rules,
            epoch=now.epoch if epoch is None else epoch,
            timestamp=now.timestamp if timestamp is None else timestamp,
            base_fee=now.base_fee if base_fee is None else base_fee,
            circulating_supply=now.circulating_supply if circulating_supply is None else circulating_supply,
            chain_id=now.chain_id if chain_id is None else chain_id,
            network=network or now.network,
            block=now.block if block is None else block,
        )

    def snapshot(self) -> Snapshot:
        """The state as it is now, to come back to with `restore`."""
        return Snapshot(self.state_tree.flush(), dict(self.store.pending))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot's state; the context (epoch, base fee) stays as it is."""
        self.store.clear()
        self._hold(snapshot.pending)
        self.state_tree = StateTree(self.store, snapshot.root)
        self._use(self._load_manifest())

    def upgrade(
        self,
        network: NetworkVersion,
        manifest: Manifest | None = None,
        streams: StreamSettings | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Turn the state into one of another network version, and run it by that version's rules from now on.

        `manifest`: other built-in actors, whose blocks the store holds; None leaves them as they are. What may be
        upgraded to what is `migration.check_migration`'s to say. `streams`: what the reward actor begins with at
        network version 29, in the place of the network's own values. `progress` is told now and then how many actors
        were looked at. Raises InvalidInput for actors among which none runs contracts, and for a state that cannot be
        migrated, with all as it was.
        """
        if manifest is not None:
            learn_actors(self.registry, manifest, self.store)
            passed = versions_passed(self.context.network.number, network.number)
            before, epoch = self.state_tree, self.context.epoch
            root = migrated(before, self.manifest, manifest, passed, epoch, streams, progress)
            self.state_tree = StateTree(self.store, root)
            self.manifest = manifest
        self.advance(network=network)

    def _use(self, manifest: Manifest) -> None:
        """Go on with a manifest's actors."""
        if manifest.data != self.manifest.data:
            learn_actors(self.registry, manifest, self.store)
            self.manifest = manifest

    def _hold(self, pending: Mapping[Cid, bytes]) -> None:
        self.store.put_many(pending.items())
        if not self.store.has(EMPTY_ARRAY_CID):  # the state of every new actor: a foreign state need not have it
            self.store.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)

    def fork(self, root: Cid | None = None, context: MachineContext | None = None) -> Hypervisor:
        """A machine at the same state, or at another root that the store holds; in another context, if one is given.

        It shares the store and the runtimes, the tracer too, and writes to memory only.
        """

        def shared(manifest: Manifest, store: BufferedStore) -> Registry:
            if manifest.data != self.manifest.data:  # of an older root, before an upgrade
                learn_actors(self.registry, manifest, store)
            return self.registry

        return Hypervisor(
            OverlayStore(self.base),
            self.state_tree.flush() if root is None else root,
            context or self.context,
            registry=shared,
            externs=self.externs,
            proofs=self.proofs,
            tracer=self.tracer,
            actor_debugging=self.actor_debugging,
            pending=self.store.pending,
            installed=self._installed,
        )

    def close(self) -> None:
        """Release the store and the parked threads. What was not flushed is gone."""
        self.stacks.dismiss()
        self.base.close()

    def __enter__(self) -> Hypervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
