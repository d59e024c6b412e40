"""`Hypervisor`: a state, the rules of a network version, and the runtimes that execute its actors.

Corresponds to ref-fvm's machine. Applies messages one at a time, buffers their writes, and on `flush` commits the
blocks reachable from the new state root. Chain, clock, mempool and wallets are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis, store_constructed_state
from hypervisor.bundles.manifest import Manifest
from hypervisor.context import Externs, MachineContext
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.installation import OWN_EVM
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine_state import MachineSettings, MachineState
from hypervisor.machine.opening import (
    GENESIS,
    IN_MEMORY,
    check_bundle,
    check_genesis,
    check_types,
    choose_context,
    first_state,
    installed_codes,
    load_overlay,
    open_store,
    register_actors,
    registry_factory,
)
from hypervisor.machine.registry import NATIVE, InstallServices, Registry
from hypervisor.machine.rules import canonical_rules, check_features, executor_factory
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.proofs.verifier import ProofVerifier
from hypervisor.state.state_tree import ActorState, StateOrigin
from hypervisor.text import PrintedCid, one_line
from hypervisor.tracing import Tracer
from hypervisor.types import (
    INIT_ACTOR,
    METHOD_CONSTRUCTOR,
    SYSTEM_ACTOR,
    ActorID,
    TokenAmount,
    check_type,
    whole_number,
)
from hypervisor.versions.features import enabled_features
from hypervisor.versions.overlay import Overlay
from store.blocks.memory import BufferedStore, OverlayStore, ReadOnlyStore
from store.blockstore import Store
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode
from store.roots import HEAD


class CreationFailed(HypervisorError):
    """Raised when an actor's constructor fails; `result` has its exit code and message. The actor is not created."""

    def __init__(self, result: ApplyResult) -> None:
        super().__init__(f"the constructor exited with {result.exit_code}: {result.message or 'no message'}")
        self.result = result


@dataclass(frozen=True, slots=True)
class Created:
    """A new actor: its ID, its robust f2 address, and the result of its constructor."""

    id: ActorID
    address: Address
    result: ApplyResult

    def __repr__(self) -> str:
        return one_line("Created", f"f0{self.id}", str(self.address), f"gas {self.result.gas_used:,}")


class Hypervisor(MachineState):
    """A machine over a store: a state, the rules of a network version, and the runtimes of its actors.

    Create one with `Hypervisor.open`. Amounts are in attoFIL, gas in gas units, epochs are chain heights. A failed
    execution is reported in the receipt; an invalid message raises MessageError, and other invalid input InvalidInput.
    Only one thread at a time may use a machine; its forks may be used concurrently.

    >>> from hypervisor import Address, Genesis, Hypervisor, Message, fil
    >>> alice = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
    >>> bob = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))
    >>> with Hypervisor.open(genesis=Genesis(accounts={alice: fil(100)})) as machine:
    ...     refused = machine.call(Message(to=bob, from_=alice, value=fil(1000)))
    ...     result = machine.apply(Message(to=bob, from_=alice, value=fil(3)))
    ...     refused.receipt, result.receipt.exit_code == 0, machine.balance(bob)
    (Receipt(exit SYS_INSUFFICIENT_FUNDS, gas 3,681,000, return empty), True, 3 FIL)
    """

    def __init__(
        self,
        base: Store,
        root: Cid,
        context: MachineContext,
        settings: MachineSettings,
    ) -> None:
        super().__init__(base, root, context, settings)
        self._rules = context.rules
        self.executor = executor_factory(context.rules)(self)

    # --- opening ----------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        path: str | Path = IN_MEMORY,
        *,
        bundle: Bundle | str | Path | None = None,
        network: int | None = None,
        overlay: Overlay | str | Path | None = None,
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
        """Open a state folder or `:memory:`; an empty one gets a genesis from `bundle` (default: our own).

        - `bundle`: a bundle, or an argument of `Bundle.open`: a name such as `v18`, or a CAR file.
        - `network`: network version number (default: the folder's, else the newest with the bundle's actors).
        - `overlay`: changed prices and rules of that version, or their file; a folder with an overlay requires it.
        - `rules`: `filecoin` (the default) or an installed set.
        - `evm`: executor of contracts: `py-evm`, `fast` or `both` (this project's EVM runtime on those engines),
          `official` (the bundle's EVM actor) or `auto` (that one if the bundle has it).
        - `genesis`: initial state of a new folder (default: no accounts); an existing one must have begun with it.
        - `store`: an open store to use instead of the path; it is closed with the machine.

        Raises InvalidInput for a folder with other rules, or another overlay, bundle or genesis, BundleError (an
        InvalidInput) if the bundle is not available, `store.blockstore.StoreError` if the folder cannot be opened, and
        TypeError for arguments of other types.
        """
        check_types(path, bundle, network, overlay, rules, evm, genesis, context)
        registry = registry_factory(evm, options or {})
        over = load_overlay(overlay)
        if isinstance(bundle, str | Path):
            bundle = Bundle.open(bundle)
        first = genesis or Genesis()
        base = open_store(path) if store is None else store
        try:
            head = base.metadata(HEAD)
            named = None if rules is None else canonical_rules(rules)
            initial = choose_context(base, network, named, context, bundle, over)
            check_features(initial)
            pending, root = first_state(base, bundle, first, initial.network) if head is None else ({}, Cid(head))
            settings = MachineSettings(
                registry,
                externs=externs,
                proofs=proofs,
                tracer=tracer,
                actor_debugging=actor_debugging,
                pending=pending,
                installed=installed_codes(base),
            )
            machine = cls(base, root, initial, settings)
            if head is None:
                machine._construct_singletons(first)
                machine.flush(metadata={GENESIS: first.record()})
            else:
                check_bundle(bundle, machine.manifest)
                check_genesis(base, genesis, machine.state_tree)
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
        """Return a machine at any state root whose blocks `base` has, for vectors, archives and foreign states."""
        return cls(base, root, context, MachineSettings(registry_factory(evm, {}), externs, proofs, tracer))

    def fork(
        self,
        root: Cid | None = None,
        context: MachineContext | None = None,
        externs: Externs | None = None,
        origin: StateOrigin | None = None,
    ) -> Hypervisor:
        """Return a machine at the same state, or at another stored root; in another context if one is given.

        It shares the store, the runtimes, the tracer and the origin (unless another `origin` is given), and writes to
        memory only.
        """
        at = self.state_tree.flush() if root is None else root
        machine = self._sibling(
            OverlayStore(self.base), at, context or self.context, externs or self.externs, self.tracer
        )
        if origin is not None:
            machine.read_from(origin)
        return machine

    def reader(self, root: Cid, externs: Externs) -> Hypervisor:
        """Return a read-only machine at a committed root, for another thread.

        Its changes can only be rolled back. It shares the store's blocks and the registry of runtimes, which is the
        only object that both machines write to. It has no tracer unless one is set.
        """
        return self._sibling(ReadOnlyStore(self.base), root, self.context, externs, None)

    def _sibling(
        self, base: Store, root: Cid, context: MachineContext, externs: Externs, tracer: Tracer | None
    ) -> Hypervisor:
        def shared(manifest: Manifest, store: BufferedStore) -> Registry:
            if manifest.data != self.manifest.data:  # an older root, before an upgrade
                register_actors(self.registry, manifest, store)
            return self.registry

        settings = MachineSettings(
            shared,
            externs=externs,
            proofs=self.proofs,
            tracer=tracer,
            actor_debugging=self.actor_debugging,
            pending=self.store.pending,
            installed=self._installed,
            origin=self.origin,
        )
        return Hypervisor(base, root, context, settings)

    def close(self) -> None:
        """Close the store and end the pooled threads. Unflushed changes are lost; later messages raise StoreClosed.

        Reads of cached state (`balance`, `actor`, `storage`, `root`, `snapshot`) may still return values that were
        never stored.
        """
        self._is_closed = True
        self.stacks.dismiss()
        self.base.close()

    def __repr__(self) -> str:
        context = self.context
        rules = f"{context.rules}, network version {context.network.number}"
        return one_line("Hypervisor", rules, f"epoch {context.epoch}", f"chain id {context.chain_id}")

    def __enter__(self) -> Hypervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _construct_singletons(self, genesis: Genesis) -> None:
        network = self.context.network
        observed = self.tracer is not None or network.overlay is not None
        for actor, params in genesis.constructors():
            state = self.state_tree.existing(actor)
            head = None if observed else store_constructed_state(self.store, state.code, params, network.rules.abi)
            if head is None:
                self._construct(actor, SYSTEM_ACTOR, params)
            else:
                self.state_tree.set_actor(actor, ActorState(state.code, head, balance=state.balance))

    # --- messages ---------------------------------------------------------------------------------------------

    def apply(self, message: Message | SignedMessage, raw_length: int | None = None) -> ApplyResult:
        """Apply an explicit message; the chain is responsible for checking signatures.

        `raw_length` is its length on chain in bytes; by default the CBOR length, plus a 65-byte signature for senders
        whose signatures are stored on chain. Raises MessageError for invalid fields. If execution could not continue,
        the receipt has exit code 10 and `fatal` of the result has the error: callers must check it.
        Raises TypeError for anything but a message, and StoreClosed if the machine is closed.
        """
        if isinstance(message, SignedMessage):
            raw_length = message.chain_length() if raw_length is None else raw_length
            message = message.message
        if not isinstance(message, Message):
            check_type(message, Message, "message", "a Message or a SignedMessage")
        message.check()
        return self._execute_message(message, message.chain_length() if raw_length is None else raw_length)

    def apply_implicit(self, message: Message) -> ApplyResult:
        """Apply a message of the system itself, without sender checks, fees and nonce."""
        if not isinstance(message, Message):
            check_type(message, Message, "message", "a Message")
        message.check()
        return self._execute_message(message, 0, implicit=True)

    def _execute_message(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        if self._is_closed:
            self._check_open()
        if self.context.rules != self._rules:
            raise InvalidInput(
                f"the machine was opened under the rules '{self._rules}', but its context has '{self.context.rules}'"
            )
        return self.executor.apply(message, raw_length, implicit)

    def call(self, message: Message) -> ApplyResult:
        """Return the result of `apply_implicit` without keeping its changes."""
        with self.trial():
            return self.apply_implicit(message)

    # --- actors -----------------------------------------------------------------------------------------------

    def install(self, module: bytes) -> Cid:
        """Install a user's module and return its code CID. Raises InvalidModule if the rules reject it.

        It is a WASM module, or has the format of another package's runtime. The network does not let users install code
        yet; this machine does, for development.
        """
        code = self.prepare_module(module)
        self.store.put(code, module)
        if code not in self._installed:
            self._installed = (*self._installed, code)
        return PrintedCid(code)

    def prepare_module(self, module: bytes) -> Cid:
        """Check and compile a module that will be installed, and return its code CID. Raises InvalidModule."""
        code = cid_of(module, RAW)
        name, runtime = self.registry.runtime_for(code, lambda _: module)
        if name != NATIVE and not self.registry.traits(code, lambda _: module).magic:
            raise InvalidInput(f"code {show(code)} belongs to the runtime '{name}' and cannot be installed")
        services = InstallServices(self.installed_module)
        runtime.prepare({code: module}, enabled_features(self.context.network.rules), services)
        return code

    def prepare(self) -> None:
        """Compile all modules of the bundle and of users now, on all cores, instead of at their first calls."""
        modules: dict[str, dict[Cid, bytes]] = {}
        for code in filter(self.store.has, (*self.manifest.codes, *self._installed)):
            name, _ = self.registry.runtime_for(code, self.store.get)
            modules.setdefault(name, {})[code] = self.store.get(code)
        for found in modules.values():
            _, runtime = self.registry.runtime_for(next(iter(found)))
            runtime.prepare(found, services=InstallServices(self.installed_module))

    def create(self, code: Cid, params: bytes = b"", value: TokenAmount = TokenAmount(0)) -> Created:
        """Create an actor with `code`, and run its constructor (method 1) as if called by the init actor.

        For development: on the network, only the init actor creates actors, and only of certain types. `params` are
        CBOR; `value` in attoFIL is minted. Raises CreationFailed, without any change.
        """
        if not self.store.has(code):
            raise InvalidInput(f"no module is installed under {show(code)}: install it first")
        balance = TokenAmount(whole_number(value, "a balance", None, unit="attoFIL"))
        tree = self.state_tree
        with tree.transaction():
            seed = encode(Address.id(SYSTEM_ACTOR).to_bytes()) + tree.init_state().next_id.to_bytes(8, "big")
            address = Address.actor(seed + bytes(8))
            actor = tree.register_address(address)
            tree.set_actor(actor, ActorState(code, balance=balance))
            result = self._construct(actor, INIT_ACTOR, params)
        return Created(actor, address, result)

    def _construct(self, actor: ActorID, creator: ActorID, params: bytes) -> ApplyResult:
        message = Message(Address.id(actor), Address.id(creator), method=METHOD_CONSTRUCTOR, params=params)
        result = self.apply_implicit(message)
        if result.fatal is not None:
            raise result.fatal
        if result.exit_code:
            raise CreationFailed(result)
        return result
