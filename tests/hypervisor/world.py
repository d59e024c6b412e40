"""A machine whose actors are Python functions, for tests of the machine without guest code.

`World` creates a genesis state over a synthetic bundle and runs every actor on `ScriptedRuntime`. A script takes the
kernel and the handle of the parameters, like a guest, and returns an `Outcome` (None stands for exit code 0).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hypervisor.bundles.genesis import Genesis, build_genesis
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.context import Externs, InvocationContext, MachineContext
from hypervisor.errors import ActorExit, InvalidModule, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.gas import GasTracker
from hypervisor.kernel import Kernel
from hypervisor.kernel.calls import Calls
from hypervisor.machine.call_manager import FILECOIN_CALLS, CallManager, MessageOrigin
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineSettings
from hypervisor.machine.registry import InstallServices, Outcome, Registry, Runtime, RuntimeServices
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.proofs.verifier import ProofVerifier
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.tracing import GasCharged, Recorder, TraceEvent, Tracer
from hypervisor.types import NO_BLOCK, ActorID, BlockId, ChainEpoch, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import network_version
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import Store
from store.cid import CBOR, RAW, Cid, cid_of
from store.codec import encode, link

Script = Callable[[Kernel, BlockId], Outcome | None]

FIL = 10**18
GAS = 1000
"""Milligas per gas, since `kernel.gas` counts milligas."""

SENDER = Address.parse("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq")
SENDER_ID = ActorID(100)
SENDER_BALANCE = TokenAmount(1000 * FIL)
NEW_KEY = Address.parse("f12fiakbhe2gwd5cnmrenekasyn6v5tnaxaqizq6a")
NEW_BLS = Address.parse("f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a")
NEW_ETH = Address.delegated(10, bytes(range(1, 21)))

_LIMIT = 10_000_000_000 * GAS


def made_up_bundle() -> tuple[Manifest, dict[Cid, bytes]]:
    """Return a manifest of the 16 names with 16 different blocks as code, and the blocks."""
    modules = [f"code of {name}".encode() for name in ACTOR_NAMES]
    codes = tuple(cid_of(module, RAW) for module in modules)
    listing = encode([[name, link(code)] for name, code in zip(ACTOR_NAMES, codes, strict=True)])
    data = cid_of(listing)
    return Manifest(data, codes), {data: listing, **dict(zip(codes, modules, strict=True))}


class ScriptedRuntime:
    """Runs the script of the receiver or of its code; without a script, an actor exits with 0."""

    def __init__(self) -> None:
        self.actors: dict[ActorID, Script] = {}
        self.codes: dict[Cid, Script] = {}
        self.invoked: list[InvocationContext] = []

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        self.invoked.append(kernel.context)
        script = self.actors.get(kernel.context.receiver) or self.codes.get(code)
        if script is None:
            return Outcome(0)
        try:
            return script(kernel, params) or Outcome(0)
        except ActorExit as exited:
            return Outcome(exited.code, BlockId(exited.block), exited.message)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        return self.invoke(kernel, code, params)

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        if any(module.startswith(b"bad") for module in modules.values()):
            raise InvalidModule("the module starts with 'bad'")


@dataclass
class ForwardingRuntime:
    """A runtime that wraps another one; its subclasses change some of the calls."""

    behind: Runtime

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        self.behind.prepare(modules, features, services)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        return self.behind.upgrade(kernel, code, params, info)

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        return self.behind.invoke(kernel, code, params)


class IgnoringTracer(Tracer):
    """A tracer that ignores all events; with a tracer, EVM engines run frame by frame."""

    def event(self, event: TraceEvent, /) -> None:
        """Ignore the event."""


@dataclass
class World:
    """A machine at genesis with one account, f0100 (`SENDER`), and the actors added with `actor`."""

    network: int = 28
    context: MachineContext | None = None
    genesis: Genesis = field(default_factory=lambda: Genesis("test", {SENDER: SENDER_BALANCE}))
    externs: Externs | None = None
    proofs: ProofVerifier | None = None
    tracer: Tracer | None = None
    base: Store = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.manifest, blocks = made_up_bundle()
        self.runtime = ScriptedRuntime()
        seed = BufferedStore(self.base)
        seed.put_many(blocks.items())
        root = build_genesis(seed, self.manifest, self.genesis)
        context = self.context or MachineContext(network_version(self.network), epoch=ChainEpoch(1_000))
        self.machine = Hypervisor(
            self.base,
            root,
            context,
            MachineSettings(
                lambda _manifest, _store: Registry(RuntimeServices(), {}, {"wasm": lambda _: self.runtime}),
                externs=self.externs,
                proofs=self.proofs,
                tracer=self.tracer,
                pending=seed.pending,
            ),
        )

    @property
    def tree(self) -> StateTree:
        return self.machine.state_tree

    def code(self, name: str) -> Cid:
        return self.manifest.code(name)

    def actor(
        self,
        script: Script | None = None,
        balance: int = 0,
        *,
        actor: int | None = None,
        code: str = "multisig",
        delegated: Address | None = None,
        head: Cid | None = None,
    ) -> Address:
        """Add an actor to the state, and return its ID address. IDs start at 1000."""
        number = ActorID(actor if actor is not None else 1000 + len(self.runtime.actors))
        state = ActorState(self.code(code), balance=TokenAmount(balance), delegated_address=delegated)
        self.tree.set_actor(number, state if head is None else replace(state, head=head))
        self.runtime.actors[number] = script or (lambda _kernel, _params: None)
        return Address.id(number)

    def balance(self, address: Address | int) -> int:
        """Return an actor's balance in attoFIL; 0 if it does not exist."""
        found = self.machine.actor(Address.id(address) if isinstance(address, int) else address)
        return 0 if found is None else found.balance

    def message(self, to: Address, method: int = 2, **fields: Any) -> Message:
        """Return a message from `SENDER` with its next nonce."""
        sender = self.machine.actor(SENDER)
        assert sender is not None
        message = Message(to, SENDER, nonce=sender.nonce, method=MethodNumber(method))
        return replace(message, **fields)

    def send(self, to: Address, method: int = 2, **fields: Any) -> ApplyResult:
        """Apply a message from `SENDER`."""
        return self.machine.apply(self.message(to, method, **fields))

    def calls(self, limit: int = _LIMIT, receiver: ActorID | None = None, nonce: int = 0) -> CallManager:
        """Return a call manager for a message from `SENDER`; `limit` is in milligas."""
        return CallManager(
            self.machine, FILECOIN_CALLS, GasTracker(limit), MessageOrigin(SENDER_ID, SENDER, nonce), receiver
        )

    def kernel(
        self,
        receiver: Address | int = SENDER_ID,
        *,
        read_only: bool = False,
        limit: int = _LIMIT,
        calls: Calls | None = None,
        nonce: int = 0,
        origin: Address = SENDER,
    ) -> Kernel:
        """Return a kernel for an invocation of `receiver`, whose lookup is already charged."""
        number = receiver.actor_id() if isinstance(receiver, Address) else ActorID(receiver)
        assert number is not None
        manager = calls or self.calls(limit, number)
        context = InvocationContext(
            origin=SENDER_ID,
            origin_address=origin,
            nonce=nonce,
            caller=SENDER_ID,
            receiver=number,
            method=MethodNumber(2),
            value=TokenAmount(0),
            gas_premium=TokenAmount(0),
            read_only=read_only,
        )
        return Kernel(manager, context)


def returning(data: bytes, codec: int = CBOR, exit_code: int = 0) -> Script:

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(exit_code, kernel.ipld.create(codec, data))

    return script


def exiting(code: int, block: int = NO_BLOCK) -> Script:
    return lambda _kernel, _params: Outcome(code, BlockId(block))


def charging(gas: int) -> Script:

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.gas.charge("Test", gas * GAS)

    return script


def used(kernel: Kernel, action: Callable[[], object]) -> int:
    before = kernel.gas.used
    action()
    return kernel.gas.used - before


def refused(number: ErrorNumber, kernel: Kernel, action: Callable[[], object]) -> int:
    """Return the milligas used by an action that the kernel rejects with this error number."""
    before = kernel.gas.used
    with pytest.raises(SyscallError) as caught:
        action()
    assert caught.value.number is number, caught.value
    return kernel.gas.used - before


def charges(recorder: Recorder) -> list[tuple[str, int]]:
    """Return the charges recorded by a tracer: name and milligas."""
    return [(event.name, event.milligas) for event in recorder.events if isinstance(event, GasCharged)]


@dataclass
class Notes:
    """Values recorded by scripts."""

    items: list[Any] = field(default_factory=list)

    def add(self, item: Any) -> None:
        self.items.append(item)


def sends(to: Address, method: int = 2, **options: Any) -> Script:
    """Return a script that sends once and returns the callee's exit code."""

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(kernel.send(to, MethodNumber(method), **options).exit_code)

    return script


def number_of(address: Address) -> ActorID:
    number = address.actor_id()
    assert number is not None
    return number
