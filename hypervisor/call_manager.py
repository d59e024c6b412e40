"""One message's calls: depth, value, transactions, and the way to a runtime.

The life of a call, in the order of the steps:

    send              the interceptor may answer it; a tracer hears of it
    with_transaction  what may be taken back is: the state tree, events, state accesses, the journal
    send_unresolved   the rules find the receiver's actor, or bring it into being
    send_resolved     the value moves
    invoke            the runtime of the receiver's code runs it

Gas, written blocks and the count of created actors are not taken back. What differs between sets of rules is
`CallRules`. Source: ref-fvm fvm/src/call_manager/default.rs.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from hypervisor.access import AccessTracker
from hypervisor.address import Address
from hypervisor.backtrace import Backtrace, BacktraceFrame
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult, LentCode
from hypervisor.context import InvocationContext
from hypervisor.deep_stack import needs_fresh_stack
from hypervisor.errors import Fatal, InvalidModule, OutOfGas, SyscallError, UnlinkableModule
from hypervisor.events import StampedEvent
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import GasTracker
from hypervisor.interception import Interceptor
from hypervisor.journal import Journal
from hypervisor.kernel import Kernel
from hypervisor.machine_state import MachineState
from hypervisor.memory import MemoryBudget
from hypervisor.message_identity import MessageIdentity
from hypervisor.runtime import InstallServices
from hypervisor.state_tree import ActorState
from hypervisor.tracing import ActorFound, CallEnded, CallStarted, Dispatched, EventEmitted
from hypervisor.types import METHOD_SEND, NO_BLOCK, ActorID, TokenAmount
from store.blockstore import BlockNotFound
from store.cid import CBOR, Cid, show
from store.codec import encode, link

MAX_CALL_DEPTH = 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a transaction began."""

    tree: tuple[int, int]
    events: int
    access: int
    journal: int


class CallRules(Protocol):
    """What a set of rules decides in the life of a call: who is called, and what runs its code.

    Filecoin's are `hypervisor.call_rules`. What calls and looks at actors cost are the call manager's `prices` and
    `charges_access`, which rules may change while a call lasts.
    """

    lent_code: LentCode | None
    """What contracts see and do where accounts run code; None where accounts have none."""

    def resolve(self, calls: "CallManager", call: Call) -> ActorID | CallResult:
        """The receiver's actor, which may come into being now; or the result of a call that reaches none.

        Raises SyscallError.
        """

    def invoke(self, calls: "CallManager", call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Run the receiver's code (`CallManager.invoke`), or answer in its place."""


class CallManager:
    """Everything that lives as long as one message."""

    def __init__(
        self,
        machine: MachineState,
        rules: CallRules,
        gas: GasTracker,
        origin: ActorID,
        origin_address: Address,
        receiver: ActorID | None,
        nonce: int = 0,
        gas_premium: TokenAmount = TokenAmount(0),
        journal: Journal | None = None,
    ) -> None:
        self.machine = machine
        self.rules = rules
        self.lent_code = rules.lent_code
        self.tree = machine.state_tree
        self.prices = machine.context.network.prices
        self.max_depth = MAX_CALL_DEPTH
        self.tracer = machine.tracer
        self.interceptor: Interceptor[CallManager] | None = machine.interceptor
        self.gas = gas
        self.origin = origin
        self.origin_address = origin_address
        self.nonce = nonce
        self.gas_premium = gas_premium
        self.events: list[StampedEvent] = []
        self.journal = Journal() if journal is None else journal
        self.identity = MessageIdentity()
        self.memory = MemoryBudget()
        self.actors_created = 0
        self.invocations = 0
        self.depth = 0
        self.backtrace = Backtrace()
        """The last failure in the call in force, which may explain it if that fails, too; empty after a success."""
        self.charges_access = True
        """Whether looks at actors and changes of them have their price now."""
        self._access = AccessTracker(self.prices, origin, receiver)
        upgrades = machine.context.network.rules.upgrades_actors
        self.call_stack: list[tuple[ActorID, bool]] | None = [] if upgrades else None
        """The actors at work, outermost first, and whether their `upgrade` is; only where actors upgrade themselves."""

    # --- calls ------------------------------------------------------------------------------------------------

    def send(self, call: Call) -> CallResult:
        """Make a call in a transaction of its own, taken back unless it exits with 0.

        Raises SyscallError (the caller sees an error number), OutOfGas, Fatal.
        """
        if self.interceptor is not None:
            return self.interceptor.send(self, call, self._send_traced)
        return self.with_transaction(call) if self.tracer is None else self._send_traced(call)

    def trace_intercepted(self, call: Call, result: CallResult) -> CallResult:
        """Trace a call that an interceptor answered in the callee's place; the result as it is."""
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
        """What traces say that a call has used, which has just ended so (None: with an error); `before` it in milligas.

        Rules may count otherwise.
        """
        return self.gas.used - before

    def with_transaction(self, call: Call) -> CallResult:
        """Make a call that is taken back unless it exits with 0."""
        mark = self.begin()
        self.backtrace.clear()
        try:
            result = self._with_limits(call)
        except BaseException as error:
            self.rollback(mark)
            if isinstance(error, SyscallError) and error.number != ErrorNumber.INSUFFICIENT_FUNDS:
                self.backtrace.set_cause(f"{call.to}: {error.message}")
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

    def _with_limits(self, call: Call) -> CallResult:
        """The call a level deeper, within its own gas limit if it has one: running out of that is an exit, no end."""
        limit, memory = call.gas_limit, self.memory.used
        if self.depth >= self.max_depth:
            if limit is not None and self.machine.context.network.rules.refused_depth_keeps_limit:
                self.gas.push(limit)  # and nothing closes the limit's frame: that generation's oversight
            raise SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"calls nest deeper than {self.max_depth}")
        if limit is not None:
            self.gas.push(limit)
        self.depth += 1
        try:
            return self.send_unresolved(call)
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

    def send_unresolved(self, call: Call) -> CallResult:
        """Find the receiver, then send."""
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

    def send_resolved(self, call: Call, actor: ActorID) -> CallResult:
        """Value, then code: the call once its receiver is known."""
        state = self.get_actor(actor)
        if state is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor {call.to} does not exist")
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
        """Dispatch by code CID, run, and take over what came back."""
        self.invocations += 1
        code = state.code
        context = InvocationContext(
            origin=self.origin,
            origin_address=self.origin_address,
            nonce=self.nonce,
            caller=call.from_,
            receiver=actor,
            method=call.method,
            value=call.value,
            gas_premium=self.gas_premium,
            read_only=call.read_only,
        )
        kernel = Kernel(self, context)
        params = NO_BLOCK if call.params is None else kernel.ipld.accept(call.params)
        name, runtime = self.machine.registry.runtime_for(code)
        if self.tracer is not None:
            self.tracer.event(Dispatched(actor, code, name, state.delegated_address))
        if call.upgraded_from is not None:
            # CBOR, not DAG-CBOR: the code is not reachable by it (ref-fvm call_manager/mod.rs `into_params`).
            info = kernel.ipld.accept(Block(CBOR, encode([link(call.upgraded_from)])))
            enter = partial(runtime.upgrade, kernel, code, params, info)
            outcome = self.machine.stacks.run(enter, self.gas.exhaust) if needs_fresh_stack(self.depth - 1) else enter()
        elif needs_fresh_stack(self.depth - 1):
            outcome = self.machine.stacks.run(lambda: runtime.invoke(kernel, code, params), self.gas.exhaust)
        else:
            outcome = runtime.invoke(kernel, code, params)
        try:
            block = kernel.ipld.find(outcome.block)
        except SyscallError:
            return CallResult(ExitCode.SYS_MISSING_RETURN, None, outcome.message, outcome.is_plain)
        if block is not None:
            if self.depth == 1:
                storage = self.prices.storage_per_byte * len(block.data)
                self.gas.charge("OnChainReturnValue", storage, storage)
            else:
                self.gas.charge("OnReturnValue", self.prices.return_per_link * len(block.links))
        return CallResult(outcome.exit_code, block, outcome.message, outcome.is_plain)

    def upgrade(self, call: Call, actor: ActorID, code: Cid) -> CallResult:
        """Give an actor other code, and no delegated address, and make a call of the new code's `upgrade`: all of it
        is taken back unless that exits with 0. Source: ref-fvm kernel/default.rs `upgrade_actor`.
        """
        mark, used = self.begin(), self.gas.used
        if self.tracer is not None:
            self._trace_start(call)
        try:
            state = self.get_actor(actor)
            if state is None:
                raise SyscallError(ErrorNumber.ILLEGAL_OPERATION, f"actor f0{actor} is deleted")
            self.set_actor(actor, replace(state, code=code, delegated_address=None))
            result = self._with_limits(replace(call, upgraded_from=state.code))
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
        """Have the runtime of a code check and compile its module."""
        try:
            services = InstallServices(self.machine.installed_module, self.gas.charge)
            self.machine.registry.runtime_for(code)[1].prepare({code: self.machine.store.get(code)}, services=services)
        except UnlinkableModule:
            return  # found out when an actor runs it, and fatal then: the network's machine does not look now
        except (BlockNotFound, InvalidModule) as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{show(code)} cannot be installed: {error}") from error

    # --- actors, each access paid for -------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look an actor up."""
        if not self.charges_access or self._access.level(actor) is not None:
            return self.tree.get_actor(actor)
        self._access.charge_read(actor, self.gas)
        state = self.tree.get_actor(actor)
        self._access.record_read(actor)
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Change or create an actor."""
        if self.charges_access:
            self._access.charge_update(actor, self.gas)
        self.tree.set_actor(actor, state)

    def delete_actor(self, actor: ActorID) -> None:
        """Take an actor out of the state."""
        self._access.charge_update(actor, self.gas)
        self.tree.delete_actor(actor)

    def transfer(self, from_: ActorID, to: ActorID, value: TokenAmount) -> None:
        """Move money. INSUFFICIENT_FUNDS, NOT_FOUND or (negative) ILLEGAL_ARGUMENT."""
        if value < 0:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"cannot transfer {value} attoFIL")
        sender = self.get_actor(from_)
        if sender is None or sender.balance < value:
            have = "no such actor" if sender is None else f"it has {sender.balance}"
            raise SyscallError(ErrorNumber.INSUFFICIENT_FUNDS, f"f0{from_} cannot send {value} attoFIL: {have}")
        if from_ == to:
            return
        receiver = self.get_actor(to)
        if receiver is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor f0{to} does not exist")
        self.set_actor(from_, sender.with_balance(sender.balance - value))
        self.set_actor(to, receiver.with_balance(receiver.balance + value))

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Give code to an ID that the init actor chose."""
        placeholder = self.machine.manifest.code("placeholder")
        if code == placeholder:
            raise SyscallError(ErrorNumber.FORBIDDEN, "a placeholder comes into being by a send only")
        existing = self.get_actor(actor)
        if existing is None:
            self.gas.charge("OnCreateActor", self.prices.actor_create, self.prices.actor_create)
            state = ActorState(code, delegated_address=delegated)
        elif existing.code != placeholder:
            raise SyscallError(ErrorNumber.FORBIDDEN, f"actor f0{actor} exists already")
        elif existing.delegated_address is None:
            raise Fatal(f"placeholder f0{actor} has no delegated address")
        elif existing.delegated_address != delegated:
            raise SyscallError(ErrorNumber.FORBIDDEN, f"placeholder f0{actor} has another delegated address")
        else:
            state = replace(existing, code=code)
        self.set_actor(actor, state)
        self.actors_created += 1

    # --- events -----------------------------------------------------------------------------------------------

    def add_event(self, event: StampedEvent) -> None:
        """Keep an actor's event, unless the call that it is of fails; interceptor and tracer hear of it now."""
        self.events.append(event)
        if self.interceptor is not None:
            self.interceptor.on_event(self, event)
        if self.tracer is not None:
            listed = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in event.entries)
            self.tracer.event(EventEmitted(event.emitter, listed))

    # --- transactions -----------------------------------------------------------------------------------------

    def begin(self) -> Mark:
        """Begin a transaction: `tree.commit` keeps what happens from now on, `rollback` takes it back."""
        return Mark(self.tree.begin(), len(self.events), self._access.mark(), self.journal.mark())

    def rollback(self, mark: Mark) -> None:
        """Take back what happened since the mark."""
        self.tree.rollback(mark.tree)
        del self.events[mark.events :]
        self._access.rollback(mark.access)
        self.journal.rollback(mark.journal)

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
    """The end of a call that has an exit code; `used` in milligas."""
    block = result.block or Block(0, b"")
    return CallEnded(result.exit_code, block.data, block.codec, used, message=result.message, is_plain=result.is_plain)
