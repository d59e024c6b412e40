"""The calls of one message: depth, value transfer, transactions and dispatch to a runtime.

The steps of a call, in order:

    send              the interceptor may respond in place of the callee; a tracer is notified
    with_transaction  checkpoint the state tree, events, state accesses and the journal
    send_unresolved   one level deeper, within the call's gas limit, the rules resolve or create the receiver
    send_resolved     transfer the value
    invoke            the runtime of the receiver's code executes it

Gas, written blocks and the count of created actors are not rolled back. Differences between sets of rules are in
`CallRules`. Source: ref-fvm fvm/src/call_manager/default.rs.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final, Protocol

from hypervisor.context import InvocationContext
from hypervisor.errors import Fatal, InvalidModule, OutOfGas, SyscallError, UnlinkableModule
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import GasTracker, PriceList
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Backtrace, BacktraceFrame, Call, CallResult, Interceptor, LentCode, MemoryBudget
from hypervisor.kernel.calls import MessageIdentity
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import InstallServices
from hypervisor.messages.address import Address, is_eth_namespace
from hypervisor.messages.address import Protocol as AddressProtocol
from hypervisor.messages.events import StampedEvent
from hypervisor.state.state_tree import ActorState, TreeMark
from hypervisor.state.undo_map import Journal, UndoMap
from hypervisor.threads import needs_fresh_stack
from hypervisor.tracing import ActorCreated, ActorFound, CallEnded, CallStarted, Dispatched, EventEmitted
from hypervisor.types import METHOD_CONSTRUCTOR, METHOD_SEND, NO_BLOCK, SYSTEM_ACTOR, ActorID, TokenAmount
from store.blockstore import BlockNotFound
from store.cid import CBOR, Cid, show
from store.codec import encode, link

_READ = 1
_UPDATED = 2


@lru_cache
def _preloaded_levels(actors: frozenset[int]) -> dict[ActorID, int]:
    """Return the access levels with which each message begins; they depend on the price list only."""
    return dict.fromkeys(map(ActorID, sorted(actors)), _UPDATED)


class AccessTracker:
    """Access level of each actor in a message: each actor's first lookup and first update are charged.

    Levels are rolled back with the transaction that raised them, so an access in a reverted call is charged again
    later. Source: FIP-0055 and FIP-0057; ref-fvm call_manager/state_access_tracker.rs.
    """

    def __init__(self, prices: PriceList, origin: ActorID, receiver: ActorID | None) -> None:
        self._prices = prices
        levels = {**_preloaded_levels(prices.preloaded_actors), origin: _UPDATED}
        if receiver is not None:
            levels.setdefault(receiver, _READ)
        self._levels = UndoMap(levels)
        self.level = self._levels.get
        """Access level of an actor; None before the first lookup, which is charged."""
        self.mark = self._levels.mark
        """Checkpoint to roll back to."""

    def charge_read(self, actor: ActorID, gas: GasTracker) -> None:
        if actor not in self._levels:
            gas.charge("OnActorLookup", self._prices.actor_lookup, self._prices.actor_lookup)

    def record_read(self, actor: ActorID) -> None:
        """Record a lookup; looking up a missing actor counts as well."""
        if self.level(actor) is None:
            self._levels.set(actor, _READ)

    def charge_update(self, actor: ActorID, gas: GasTracker) -> None:
        level = self.level(actor, 0) or 0
        if level < _READ:
            gas.charge("OnActorLookup", self._prices.actor_lookup, self._prices.actor_lookup)
        if level < _UPDATED:
            gas.charge("OnActorUpdate", self._prices.actor_update, self._prices.actor_update)
            self._levels.set(actor, _UPDATED)

    def rollback(self, mark: int) -> None:
        """Undo the changes since the checkpoint."""
        self._levels.rollback(mark)


MAX_CALL_DEPTH = 1024


Mark = tuple[TreeMark, int, int, int]
"""Checkpoint at the start of a transaction: of the tree, the events, the state accesses and the journal."""


class CallRules(Protocol):
    """The parts of a call that depend on the set of rules: receiver resolution and execution of its code.

    Filecoin's are `FilecoinCallRules`. Prices of calls and state accesses are the call manager's
    `prices` and `charges_access`, which rules may change during a call.
    """

    lent_code: LentCode | None
    """Behavior of contracts where accounts run code; None if accounts have no code."""

    def resolve(self, calls: "CallManager", call: Call) -> ActorID | CallResult:
        """Return the receiver, which may be created; or the result of a call without a receiver.

        Raises SyscallError.
        """

    def invoke(self, calls: "CallManager", /, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Run the receiver's code (`CallManager.invoke`), or return a result in its place."""


@dataclass(slots=True, unsafe_hash=True)
class MessageOrigin:
    """The sender of a message: its actor ID, its address in the message, its nonce, and the gas premium in attoFIL."""

    actor: Final[ActorID]
    address: Final[Address]
    nonce: Final[int] = 0
    gas_premium: Final[TokenAmount] = TokenAmount(0)


class CallManager:
    """State with the lifetime of one message."""

    def __init__(
        self,
        machine: MachineState,
        rules: CallRules,
        gas: GasTracker,
        origin: MessageOrigin,
        receiver: ActorID | None,
        journal: Journal | None = None,
    ) -> None:
        """Create the state of a message from `origin` to `receiver`, which is None if no such actor exists yet."""
        self.machine = machine
        self.rules = rules
        self.lent_code = rules.lent_code
        self.tree = machine.state_tree
        self.prices = machine.context.network.prices
        self.max_depth = MAX_CALL_DEPTH
        self.tracer = machine.tracer
        self.interceptor: Interceptor[CallManager] | None = machine.interceptor
        self.gas = gas
        self.origin = origin.actor
        self.origin_address = origin.address
        self.nonce = origin.nonce
        self.gas_premium = origin.gas_premium
        self.events: list[StampedEvent] = []
        self.journal = Journal() if journal is None else journal
        self.identity = MessageIdentity()
        self.memory = MemoryBudget()
        self.actors_created = 0
        self.invocations = 0
        self.depth = 0
        self.backtrace = Backtrace()
        """Last failure within the current call, which may explain its own failure; empty after a success."""
        self.charges_access = True
        """True if lookups and updates of actors are charged at present."""
        self._access = AccessTracker(self.prices, origin.actor, receiver)
        upgrades = machine.context.network.rules.upgrades_actors
        self.call_stack: list[tuple[ActorID, bool]] | None = [] if upgrades else None
        """Active actors, outermost first, each paired with True while its `upgrade` method runs; None if actors cannot
        upgrade."""

    # --- calls ------------------------------------------------------------------------------------------------

    def send(self, call: Call) -> CallResult:
        """Make a call in its own transaction, which is rolled back unless it exits with 0.

        Raises SyscallError (the caller sees an error number), OutOfGas and Fatal.
        """
        if self.interceptor is not None:
            return self.interceptor.send(self, call, self._send_traced)
        return self.with_transaction(call) if self.tracer is None else self._send_traced(call)

    def trace_intercepted(self, call: Call, result: CallResult) -> CallResult:
        """Trace a call that an interceptor handled in place of the callee, and return its result."""
        if self.tracer is not None:
            self._trace_start(call)
            self.tracer.event(_call_ended(result, 0))
        return result

    def _send_traced(self, call: Call) -> CallResult:
        if self.tracer is None:
            return self.with_transaction(call)
        before = self.gas.used
        self._trace_start(call)
        try:
            result = self.with_transaction(call)
        except Exception as error:
            self._trace_failure(error, self.used_by(None, before))
            raise
        self.tracer.event(_call_ended(result, self.used_by(result, before)))
        return result

    def used_by(self, result: CallResult | None, before: int) -> int:
        """Return the milligas that traces report for a call that has just ended; `before` is the gas used at its start.

        `result` is None if it raised an error. Rules may override this.
        """
        return self.gas.used - before

    def with_transaction(self, call: Call) -> CallResult:
        """Make a call that is rolled back unless it exits with 0."""
        mark = self.begin()
        self.backtrace.clear()
        try:
            result = self.send_unresolved(call)
        except BaseException as error:
            self.rollback(mark)
            if isinstance(error, SyscallError) and error.number != ErrorNumber.INSUFFICIENT_FUNDS:
                self.backtrace.set_cause(f"{self.backtrace.text_of(call.to)}: {error.message}")
            raise
        if result.exit_code == ExitCode.OK:
            self.tree.commit()
            self.backtrace.clear()
        else:
            self.rollback(mark)
            returned = b"" if result.block is None else result.block.data
            self.backtrace.push_frame(
                BacktraceFrame(call.to, result.exit_code, result.message, returned, result.is_plain)
            )
        return result

    def send_unresolved(self, call: Call) -> CallResult:
        """Resolve the receiver, then send, one level deeper and within the gas limit; exceeding it is an exit code."""
        limit, memory = call.gas_limit, self.memory.used
        if self.depth >= self.max_depth:
            if limit is not None and self.machine.context.network.rules.refused_depth_keeps_limit:
                self.gas.push(limit)  # ref-fvm of that generation never closes this gas frame
            raise SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"calls nest deeper than {self.max_depth}")
        if limit is not None:
            self.gas.push(limit)
        self.depth += 1
        try:
            receiver = self.rules.resolve(self, call)
            if isinstance(receiver, CallResult):
                return receiver
            if self.call_stack is None:
                return self.send_resolved(call, receiver)
            self.call_stack.append((receiver, call.upgraded_from is not None))
            try:
                return self.send_resolved(call, receiver)
            finally:
                self.call_stack.pop()
        except OutOfGas as error:
            exhausted = error
        finally:
            self.depth -= 1
            self.memory.used = memory
            if limit is not None:
                self.gas.pop()
        if self.gas.available > 0:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(exhausted))
        raise exhausted

    def send_resolved(self, call: Call, actor: ActorID) -> CallResult:
        """Transfer the value and run the code of a resolved receiver."""
        state = self.get_actor(actor)
        if state is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor f0{actor} does not exist")
        if self.tracer is not None:
            self.tracer.event(ActorFound(actor, state))
        if call.value != 0:
            self.gas.charge("OnValueTransfer", self.prices.transfer)
            self.transfer(call.from_, actor, call.value)
        if call.method == METHOD_SEND:
            return CallResult(ExitCode.OK)
        links = len(call.params.links) if call.params else 0
        self.gas.charge("OnMethodInvocation", self.prices.invoke.of(links))
        return self.rules.invoke(self, call, actor, state)

    def invoke(self, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Dispatch by code CID, run the code, and accept the returned block. Raises LongExecution."""
        self.invocations += 1
        code = state.code
        context = InvocationContext(  # by position, which takes a quarter of the time
            self.origin,
            self.origin_address,
            self.nonce,
            call.from_,
            actor,
            call.method,
            call.value,
            self.gas_premium,
            call.read_only,
        )
        kernel = Kernel(self, context)
        params = NO_BLOCK if call.params is None else kernel.ipld.accept(call.params)
        name, runtime = self.machine.registry.runtime_for(code, self.machine.store.get)
        if self.machine.short is not None:
            self.machine.short.check_call(self.depth, runtime)
        if self.tracer is not None:
            self.tracer.event(Dispatched(actor, code, name, state.delegated_address))
        if call.upgraded_from is not None:
            # CBOR, not DAG-CBOR, so the code is not reachable from it (ref-fvm call_manager/mod.rs `into_params`).
            info = kernel.ipld.accept(Block(CBOR, encode([link(call.upgraded_from)])))
            enter = partial(runtime.upgrade, kernel, code, params, info)
        else:
            enter = partial(runtime.invoke, kernel, code, params)
        outcome = self.machine.stacks.run(enter, self.gas.exhaust) if needs_fresh_stack(self.depth - 1) else enter()
        try:
            block = None if outcome.block == NO_BLOCK else kernel.ipld.block(outcome.block)
        except SyscallError:
            message = outcome.message or "returned block does not exist"
            return CallResult(ExitCode.SYS_MISSING_RETURN, None, message, outcome.is_plain)
        if block is not None:
            if self.depth == 1:
                storage = self.prices.storage_per_byte * len(block.data)
                self.gas.charge("OnChainReturnValue", storage, storage)
            else:
                self.gas.charge("OnReturnValue", self.prices.return_per_link * len(block.links))
        return CallResult(outcome.exit_code, block, outcome.message, outcome.is_plain)

    def upgrade(self, call: Call, actor: ActorID, code: Cid) -> CallResult:
        """Replace an actor's code, clear its delegated address, and call `upgrade` of the new code.

        Everything is rolled back unless the call exits with 0. Source: ref-fvm kernel/default.rs `upgrade_actor`.
        """
        mark, used = self.begin(), self.gas.used
        if self.tracer is not None:
            self._trace_start(call)
        try:
            state = self.get_actor(actor)
            if state is None:
                raise SyscallError(ErrorNumber.ILLEGAL_OPERATION, f"actor f0{actor} is deleted")
            self.set_actor(actor, replace(state, code=code, delegated_address=None))
            result = self.send_unresolved(replace(call, upgraded_from=state.code))
        except BaseException as error:
            self.rollback(mark)
            if isinstance(error, Exception):
                self._trace_failure(error, self.gas.used - used)
            raise
        if result.exit_code == ExitCode.OK:
            self.tree.commit()
        else:
            self.rollback(mark)
        if self.tracer is not None:
            self.tracer.event(_call_ended(result, self.gas.used - used))
        return result

    def install(self, code: Cid) -> None:
        """Validate and compile the module of a code CID with its runtime."""
        try:
            services, read = InstallServices(self.machine.installed_module, self.gas.charge), self.machine.store.get
            self.machine.registry.runtime_for(code, read)[1].prepare({code: read(code)}, services=services)
        except UnlinkableModule:
            return  # like ref-fvm, which detects this only when an actor runs the code; it is fatal then
        except (BlockNotFound, InvalidModule) as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{show(code)} cannot be installed: {error}") from error

    # --- actors, with access charges --------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look up an actor."""
        if not self.charges_access or self._access.level(actor) is not None:
            return self.tree.get_actor(actor)
        self._access.charge_read(actor, self.gas)
        state = self.tree.get_actor(actor)
        self._access.record_read(actor)
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Update or create an actor."""
        if self.charges_access:
            self._access.charge_update(actor, self.gas)
        self.tree.set_actor(actor, state)

    def delete_actor(self, actor: ActorID) -> None:
        """Delete an actor from the state."""
        self._access.charge_update(actor, self.gas)
        self.tree.delete_actor(actor)

    def transfer(self, from_: ActorID, to: ActorID, value: TokenAmount) -> None:
        """Transfer attoFIL. Raises INSUFFICIENT_FUNDS, NOT_FOUND, or ILLEGAL_ARGUMENT for a negative value."""
        if value < 0:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"cannot transfer {value:d} attoFIL")
        sender = self.get_actor(from_)
        if sender is None or sender.balance < value:
            have = "no such actor" if sender is None else f"it has {sender.balance:d}"
            raise SyscallError(ErrorNumber.INSUFFICIENT_FUNDS, f"f0{from_} cannot send {value:d} attoFIL: {have}")
        if from_ == to:
            return
        receiver = self.get_actor(to)
        if receiver is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor f0{to} does not exist")
        self.set_actor(from_, sender.with_balance(sender.balance - value))
        self.set_actor(to, receiver.with_balance(receiver.balance + value))

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Create an actor with the ID that the init actor chose."""
        placeholder = self.machine.manifest.code("placeholder")
        if code == placeholder:
            raise SyscallError(ErrorNumber.FORBIDDEN, "placeholders can only be created by a send")
        existing = self.get_actor(actor)
        if existing is None:
            self.gas.charge("OnCreateActor", self.prices.actor_create, self.prices.actor_create)
            state = ActorState(code, delegated_address=delegated)
        elif existing.code != placeholder:
            raise SyscallError(ErrorNumber.FORBIDDEN, f"actor f0{actor} already exists")
        elif existing.delegated_address is None:
            raise Fatal(f"placeholder f0{actor} has no delegated address")
        elif existing.delegated_address != delegated:
            raise SyscallError(ErrorNumber.FORBIDDEN, f"placeholder f0{actor} has a different delegated address")
        else:
            state = replace(existing, code=code)
        self.set_actor(actor, state)
        self.actors_created += 1

    # --- events -----------------------------------------------------------------------------------------------

    def add_event(self, event: StampedEvent) -> None:
        """Record an actor's event; it is discarded if the call fails. Interceptor and tracer are notified."""
        self.events.append(event)
        if self.interceptor is not None:
            self.interceptor.on_event(self, event)
        if self.tracer is not None:
            listed = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in event.entries)
            self.tracer.event(EventEmitted(event.emitter, listed))

    # --- transactions -----------------------------------------------------------------------------------------

    def begin(self) -> Mark:
        """Begin a transaction: `tree.commit` keeps its changes, `rollback` undoes them."""
        return self.tree.begin(), len(self.events), self._access.mark(), self.journal.mark()

    def rollback(self, mark: Mark) -> None:
        """Undo the changes since the checkpoint."""
        tree, events, access, journal = mark
        self.tree.rollback(tree)
        del self.events[events:]
        self._access.rollback(access)
        self.journal.rollback(journal)

    # --- tracing ----------------------------------------------------------------------------------------------

    def _trace_start(self, call: Call) -> None:
        params = call.params or Block(0, b"")
        limit = self.gas.available if call.gas_limit is None else min(self.gas.available, call.gas_limit)
        if self.tracer is not None:
            self.tracer.event(
                CallStarted(
                    call.from_, call.to, call.method, call.value, params.data, params.codec, call.read_only, limit
                )
            )

    def _trace_failure(self, error: Exception, used: int) -> None:
        if self.tracer is None:
            return
        match error:
            case SyscallError():
                ended = CallEnded(0, b"", 0, used, error.number.name, error.message)
            case OutOfGas():
                ended = CallEnded(ExitCode.SYS_OUT_OF_GAS, b"", 0, used, "OUT_OF_GAS", str(error))
            case _:
                ended = CallEnded(ExitCode.SYS_ASSERTION_FAILED, b"", 0, used, "FATAL", str(error))
        self.tracer.event(ended)


def _call_ended(result: CallResult, used: int) -> CallEnded:
    """Return the trace event for the end of a call with an exit code; `used` is in milligas."""
    block = result.block or Block(0, b"")
    return CallEnded(result.exit_code, block.data, block.codec, used, message=result.message, is_plain=result.is_plain)


_ZERO_BLS_KEY = b"\xc0" + bytes(47)


class FilecoinCallRules:
    """Implementation of `hypervisor.machine.call_manager.CallRules`, without state per message."""

    def __init__(self) -> None:
        self.lent_code: LentCode | None = None

    def resolve(self, calls: CallManager, call: Call) -> ActorID:
        """Return the actor at an address; a key or Ethereum address is created by the first send."""
        actor = calls.tree.lookup_id(call.to)
        return self._create_from_send(calls, call) if actor is None else actor

    invoke = staticmethod(CallManager.invoke)

    def _create_from_send(self, calls: CallManager, call: Call) -> ActorID:
        """Create an account or a placeholder for an address without an actor."""
        address = call.to
        is_key = address.protocol in (AddressProtocol.SECP256K1, AddressProtocol.BLS)
        if not is_key and not is_eth_namespace(address):
            raise SyscallError(ErrorNumber.NOT_FOUND, f"no actor has the address {address}")
        if call.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"a read-only call cannot create {address}")
        if address.protocol is AddressProtocol.BLS and address.payload == _ZERO_BLS_KEY:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "the zero BLS key cannot have an account")
        prices = calls.prices
        cost = prices.actor_create + prices.address_assignment + prices.address_lookup
        calls.gas.charge("OnCreateActor", cost, cost)
        actor = calls.tree.register_address(address)
        code = calls.machine.manifest.code("account" if is_key else "placeholder")
        calls.set_actor(actor, ActorState(code, delegated_address=None if is_key else address))
        if calls.tracer is not None:
            calls.tracer.event(ActorCreated(actor, address))
        if is_key:
            # Network rule: the constructor runs at the depth of the send, and its exit code is ignored.
            params = Block(CBOR, encode(address.to_bytes()))
            calls.send_resolved(Call(SYSTEM_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params), actor)
        return actor


FILECOIN_CALLS: Final = FilecoinCallRules()
