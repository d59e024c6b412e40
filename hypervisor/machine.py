"""`Hypervisor`: a state, the rules of a network version, and the runtimes that execute actors on it.

This is what ref-fvm calls the machine. It applies messages one at a time, keeps their writes in a buffer and commits,
on `flush`, what the new state root links to. Chain, clock, mempool and wallets are others' (a local network's).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypervisor.address import Address, Protocol
from hypervisor.blocks import LinkScanCache
from hypervisor.bundle import Bundle, Manifest, marked_runtime
from hypervisor.context import MachineContext
from hypervisor.deep_stack import Stacks
from hypervisor.errors import Fatal, HypervisorError, InvalidInput
from hypervisor.executor import ApplyResult
from hypervisor.externs import DevelopmentExterns, Externs
from hypervisor.genesis import Genesis, build_genesis
from hypervisor.message import Message, SignedMessage
from hypervisor.network_versions import network_version
from hypervisor.proofs import ProofVerifier, RefuseProofs
from hypervisor.registry import NATIVE, Registry
from hypervisor.rules import FILECOIN, executor_factory
from hypervisor.runtime import RuntimeServices
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.tracing import Flushed, Tracer
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID, ChainEpoch, TokenAmount
from store.blockstore import NOTHING, BlockNotFound, Store, get_object
from store.buffered import BufferedStore
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.memory import MemoryStore
from store.overlay import OverlayStore

if TYPE_CHECKING:
    from collections.abc import Callable

IN_MEMORY = ":memory:"
AUTO = "auto"
EVM_ENGINES = ("py-evm", "official", AUTO)

_HEAD = b"head"
_MACHINE = b"machine"
_INSTALLED = b"installed"
_RECORDED_NUMBERS = ("network", "epoch", "timestamp", "chain_id")
_SIGNATURE_LENGTH = 69  # of a secp256k1 or delegated signature: array header, byte string header, type, 65 bytes


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
    """A machine over a store. Make one with `Hypervisor.open`."""

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
        self.actor_debugging = actor_debugging
        self.link_scans = LinkScanCache()
        self.stacks = Stacks()
        self.state_tree = StateTree(self.store, root)
        self.manifest = self._load_manifest()
        self.registry = registry(self.manifest, self.store)
        self._executor = executor_factory(context.rules)(self)
        self._installed = installed

    # --- opening ----------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: str | Path = IN_MEMORY,
        *,
        bundle: Bundle | None = None,
        network: int | None = None,
        rules: str | None = None,
        evm: str = "py-evm",
        genesis: Genesis | None = None,
        context: MachineContext | None = None,
        externs: Externs | None = None,
        proofs: ProofVerifier | None = None,
        tracer: Tracer | None = None,
        actor_debugging: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> Hypervisor:
        """Open a state folder, or `:memory:`; an empty one gets a genesis from `bundle` (default: our own).

        `network` is a network version's number (default: the folder's, else the newest); `rules` names the rules,
        `filecoin` (the default) or a set that is installed; `evm` says who runs contracts:
        `py-evm` (this project's EVM runtime), `official` (the bundle's own EVM actor) or `auto` (that one where the
        bundle has it). Raises InvalidInput for a folder under other rules, `store.blockstore.StoreError` for one that
        cannot be opened.
        """
        registry = _registry_factory(evm, options or {})
        genesis = genesis or Genesis()
        base = _open_store(path)
        try:
            head = base.metadata(_HEAD)
            pending, root = _first_state(base, bundle, genesis) if head is None else ({}, Cid(head))
            machine = cls(
                base,
                root,
                _context(base, network, rules, context),
                registry=registry,
                externs=externs,
                proofs=proofs,
                tracer=tracer,
                actor_debugging=actor_debugging,
                pending=pending,
                installed=_installed(base),
            )
            if head is None:
                machine._construct_singletons(genesis)
                machine.flush()
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
        registry = _registry_factory(evm, {})
        return cls(base, root, context, registry=registry, externs=externs, proofs=proofs, tracer=tracer)

    def _load_manifest(self) -> Manifest:
        system = self.state_tree.get_actor(SYSTEM_ACTOR)
        if system is None:
            raise Fatal("the state tree has no system actor (f00)")
        fields = get_object(self.store, system.head)
        return Manifest.load(self.store, unlink(fields[0]))

    def _construct_singletons(self, genesis: Genesis) -> None:
        for actor, params in genesis.constructors():
            self._construct(actor, SYSTEM_ACTOR, params, tolerate_absent=True)

    # --- messages ---------------------------------------------------------------------------------------------

    def apply(self, message: Message | SignedMessage, raw_length: int | None = None) -> ApplyResult:
        """Apply an explicit message; signatures are the chain's to check.

        `raw_length` is its length on chain in bytes; by default the CBOR length, with a signature of 65 bytes for the
        senders whose signatures are carried. Raises MessageError for a gas limit that no message may have.
        """
        if isinstance(message, SignedMessage):
            raw_length = message.chain_length() if raw_length is None else raw_length
            message = message.message
        return self._executor.apply(message, _chain_length(message) if raw_length is None else raw_length)

    def apply_implicit(self, message: Message) -> ApplyResult:
        """Apply a message of the system itself: no checks of the sender, no fees, no nonce."""
        return self._executor.apply(message, 0, implicit=True)

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
        runtime.prepare(code, module)
        self.store.put(code, module)
        if code not in self._installed:
            self._installed = (*self._installed, code)
        return code

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

    def _construct(self, actor: ActorID, creator: ActorID, params: bytes, tolerate_absent: bool = False) -> ApplyResult:
        message = Message(Address.id(actor), Address.id(creator), method=METHOD_CONSTRUCTOR, params=params)
        result = self.apply_implicit(message)
        if result.exit_code and not (tolerate_absent and result.exit_code == _UNHANDLED):
            raise CreationFailed(result)
        return result

    def actor(self, address: Address) -> ActorState | None:
        """The state of the actor behind an address, None if there is none."""
        actor = self.state_tree.lookup_id(address)
        return None if actor is None else self.state_tree.get_actor(actor)

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
        self._installed = tuple(code for code in self._installed if self.store.has(code))  # the rest was taken back
        for cid in (EMPTY_ARRAY_CID, *self._installed):
            if cid in self.store.pending:
                blocks[cid] = self.store.pending[cid]
        self.base.commit(
            blocks.items(),
            {
                _HEAD: root,
                _MACHINE: _machine_record(self.context),
                _INSTALLED: encode([link(code) for code in self._installed]),
            },
            index,
        )
        self.store.clear()
        if self.tracer is not None:
            self.tracer.event(Flushed(root, len(blocks)))
        return root

    def advance(self, **changes: Any) -> None:
        """Change the context for the messages to come: `epoch`, `timestamp`, `base_fee`, `circulating_supply`."""
        self.context = replace(self.context, **changes)

    def snapshot(self) -> Snapshot:
        """The state as it is now, to come back to with `restore`."""
        return Snapshot(self.state_tree.flush(), dict(self.store.pending))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this machine."""
        self.store.clear()
        self._hold(snapshot.pending)
        self.state_tree = StateTree(self.store, snapshot.root)

    def _hold(self, pending: Mapping[Cid, bytes]) -> None:
        self.store.put_many(pending.items())
        if not self.store.has(EMPTY_ARRAY_CID):  # the state of every new actor: a foreign state need not have it
            self.store.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)

    def fork(self, root: Cid | None = None) -> Hypervisor:
        """A machine at the same state, or at an older root that the store holds.

        It shares the store for reading and writes to memory only.
        """
        return Hypervisor(
            OverlayStore(self.base),
            self.state_tree.flush() if root is None else root,
            self.context,
            registry=lambda _manifest, _store: self.registry,
            externs=self.externs,
            proofs=self.proofs,
            tracer=self.tracer,
            actor_debugging=self.actor_debugging,
            pending=self.store.pending,
            installed=self._installed,
        )

    def close(self) -> None:
        """Release the store. What was not flushed is gone."""
        self.base.close()

    def __enter__(self) -> Hypervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_UNHANDLED = 22


def _open_store(path: str | Path) -> Store:
    if str(path) == IN_MEMORY:
        return MemoryStore()
    from store.rocks import RocksStore

    return RocksStore.open(path)


def _first_state(base: Store, bundle: Bundle | None, genesis: Genesis) -> tuple[dict[Cid, bytes], Cid]:
    """The blocks and the root of a new machine's state."""
    bundle = bundle or Bundle.embedded()
    seed = BufferedStore(base)
    seed.put_many(bundle.blocks)
    root = build_genesis(seed, bundle.manifest, genesis)
    return seed.pending, root


def _machine_record(context: MachineContext) -> bytes:
    return encode(
        {
            "rules": context.rules,
            "network": context.network.number,
            "epoch": context.epoch,
            "timestamp": context.timestamp,
            "chain_id": context.chain_id,
        }
    )


def _context(base: Store, network: int | None, rules: str | None, context: MachineContext | None) -> MachineContext:
    """The context to run under: what the caller gives, else what the folder says, else the defaults."""
    if rules is None:
        rules = FILECOIN if context is None else context.rules
    record = base.metadata(_MACHINE)
    recorded = None if record is None else _recorded_context(record, rules)
    chosen = replace(context or recorded or MachineContext(), rules=rules)
    if network is not None:
        chosen = replace(chosen, network=network_version(network))
    return chosen


def _recorded_context(recorded: bytes, rules: str) -> MachineContext:
    try:
        record = decode_strict(recorded)
        if record["rules"] != rules:
            raise InvalidInput(
                f"the folder is under the rules '{record['rules']}': it cannot be opened under '{rules}'"
            )
        network, epoch, timestamp, chain_id = (record[name] for name in _RECORDED_NUMBERS)
        if not all(isinstance(number, int) for number in (network, epoch, timestamp, chain_id)):
            raise TypeError(f"{', '.join(_RECORDED_NUMBERS)} are numbers")
    except (CodecError, KeyError, TypeError) as error:
        raise InvalidInput(f"the folder's record of its machine cannot be read: {error}") from None
    return MachineContext(network_version(network), ChainEpoch(epoch), timestamp, chain_id=chain_id, rules=rules)


def _installed(base: Store) -> tuple[Cid, ...]:
    recorded = base.metadata(_INSTALLED)
    try:
        return () if recorded is None else tuple(unlink(code) for code in decode_strict(recorded))
    except (CodecError, TypeError) as error:
        raise InvalidInput(f"the folder's record of installed code cannot be read: {error}") from None


def _registry_factory(evm: str, options: Mapping[str, str]) -> Callable[[Manifest, BufferedStore], Registry]:
    if evm not in EVM_ENGINES:
        raise InvalidInput(f"evm '{evm}' is not known: choose one of {', '.join(EVM_ENGINES)}")

    def build(manifest: Manifest, store: BufferedStore) -> Registry:
        names = {}
        for code in manifest.codes:
            marker = marked_runtime(_module(store, code))
            if marker is not None:
                names[code] = marker
        contract = manifest.code("evm")
        engine = evm
        if engine == AUTO:
            engine = "py-evm" if contract in names else "official"
        if engine == "official":
            if contract in names:
                raise InvalidInput(
                    "this bundle has no EVM actor of its own: choose another `evm`, or an official bundle"
                )
        else:
            names[contract] = "evm"
        return Registry(RuntimeServices({"evm": engine, **options}), names)

    return build


def _module(store: BufferedStore, code: Cid) -> bytes:
    try:
        return store.get(code)
    except BlockNotFound:
        return b""


def _chain_length(message: Message) -> int:
    signed = message.from_.protocol in (Protocol.SECP256K1, Protocol.DELEGATED)
    return len(message.to_cbor()) + (_SIGNATURE_LENGTH if signed else 0)
