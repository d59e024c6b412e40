"""One message's calls: depth, value, accounts that come into being, transactions, and the way to a runtime.

A call is a transaction over everything that may be taken back: the state tree, events, state accesses and the journal.
Gas, written blocks and the count of created actors are not taken back. Rules: ref-fvm
fvm/src/call_manager/default.rs.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypervisor.access import AccessTracker
from hypervisor.address import Address, Protocol, is_eth_namespace
from hypervisor.backtrace import Backtrace, Frame
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult
from hypervisor.context import InvocationContext
from hypervisor.deep_stack import needs_fresh_stack
from hypervisor.errors import Fatal, OutOfGas, SyscallError
from hypervisor.events import StampedEvent
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import GasTracker
from hypervisor.journal import Journal
from hypervisor.kernel import Kernel
from hypervisor.memory import MemoryBudget
from hypervisor.runtime import Outcome
from hypervisor.state_tree import ActorState
from hypervisor.tracing import ActorCreated, CallEnded, CallStarted, Dispatched
from hypervisor.types import (
    METHOD_CONSTRUCTOR,
    METHOD_SEND,
    NO_BLOCK,
    SYSTEM_ACTOR,
    ActorID,
    TokenAmount,
)
from store.cid import CBOR, Cid
from store.codec import encode

if TYPE_CHECKING:
    from hypervisor.machine import Hypervisor

MAX_CALL_DEPTH = 1024
_ZERO_BLS_KEY = b"\xc0" + bytes(47)


@dataclass(frozen=True, slots=True)
class _Mark:
    tree: tuple[int, int]
    events: int
    access: int
    journal: int


class CallManager:
    """Everything that lives as long as one message."""

    def __init__(
        self,
        machine: "Hypervisor",
        gas: GasTracker,
        origin: ActorID,
        origin_address: Address,
        receiver: ActorID | None,
        nonce: int = 0,
        gas_premium: TokenAmount = TokenAmount(0),
    ) -> None:
        self.machine = machine
        self.tree = machine.state_tree
        self.prices = machine.context.network.prices
        self.max_depth = MAX_CALL_DEPTH
        self.tracer = machine.tracer
        self.interceptor = machine.interceptor
        self.gas = gas
        self.origin = origin
        self.origin_address = origin_address
        self.nonce = nonce
        self.gas_premium = gas_premium
        self.events: list[StampedEvent] = []
        self.journal = Journal()
        self.memory = MemoryBudget()
        self.actors_created = 0
        self.invocations = 0
        self.depth = 0
        self.backtrace = Backtrace()
        """The last failure in the call in force, which may explain it if that fails, too; empty after a success."""
        self._access = AccessTracker(self.prices, origin, receiver)

    # --- calls ------------------------------------------------------------------------------------------------

    def send(self, call: Call) -> CallResult:
        """Make a call in a transaction of its own, taken back unless it exits with 0.

        Raises SyscallError (the caller sees an error number), OutOfGas, Fatal.
        """
        if self.interceptor is not None:
            return self.interceptor.send(self, call, self._traced)
        return self.with_transaction(call) if self.tracer is None else self._traced(call)

    def answered(self, call: Call, result: CallResult) -> CallResult:
        """Trace a call that somebody answered in the callee's place; the result as it is."""
        if self.tracer is not None:
            self._trace_start(call)
            self.tracer.event(_ended(result, 0))
        return result

    def _traced(self, call: Call) -> CallResult:
        if self.tracer is None:
            return self.with_transaction(call)
        before = self.gas.used
        self._trace_start(call)
        try:
            result = self.with_transaction(call)
        except Exception as error:
            self._trace_failure(error, self.gas.used - before)
            raise
        self.tracer.event(_ended(result, self.gas.used - before))
        return result

    def with_transaction(self, call: Call) -> CallResult:
        mark = self._begin()
        self.backtrace.clear()
        try:
            result = self._within_limit(call)
        except BaseException as error:
            self._rollback(mark)
            if isinstance(error, SyscallError) and error.number != ErrorNumber.INSUFFICIENT_FUNDS:
                self.backtrace.set_cause(f"{call.to}: {error.message}")
            raise
        if result.exit_code == ExitCode.OK:
            self.tree.commit()
            self.backtrace.clear()
        else:
            self._rollback(mark)
            returned = b"" if result.block is None else result.block.data
            self.backtrace.push_frame(Frame(call.to, result.exit_code, result.message, returned, result.is_plain))
        return result

    def _within_limit(self, call: Call) -> CallResult:
        """The call within its own gas limit, if it has one: running out of that one is an exit, not the end."""
        if call.gas_limit is not None:
            self.gas.push(call.gas_limit)
            if self.depth >= self.max_depth and self.machine.context.network.rules.refused_depth_keeps_limit:
                raise self._too_deep()  # before anything closes the limit's frame: that generation's oversight
        try:
            return self._nest(call)
        except OutOfGas as error:
            exhausted = error
        finally:
            if call.gas_limit is not None:
                self.gas.pop()
        if self.gas.available > 0:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(exhausted))
        raise exhausted

    def _too_deep(self) -> SyscallError:
        return SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"calls nest deeper than {self.max_depth}")

    def _nest(self, call: Call) -> CallResult:
        if self.depth >= self.max_depth:
            raise self._too_deep()
        memory = self.memory.used
        self.depth += 1
        try:
            return self._send_unresolved(call)
        finally:
            self.depth -= 1
            self.memory.used = memory

    def _send_unresolved(self, call: Call) -> CallResult:
        actor = self.tree.lookup_id(call.to)
        if actor is None:
            actor = self._create_from_send(call)
        return self._send_resolved(call, actor)

    def _send_resolved(self, call: Call, actor: ActorID) -> CallResult:
        """Value, then code: the call once its receiver is known."""
        state = self.get_actor(actor)
        if state is None:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"actor {call.to} does not exist")
        if call.value != 0:
            self.gas.charge("OnValueTransfer", self.prices.transfer)
            self.transfer(call.from_, actor, call.value)
        if call.method == METHOD_SEND:
            return CallResult(ExitCode.OK)
        links = len(call.params.links) if call.params else 0
        self.gas.charge("OnMethodInvocation", self.prices.invoke.of(links))
        return self._invoke(call, actor, state)

    def _invoke(self, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Dispatch by code CID, run, and take over what came back."""
        self.invocations += 1
        code = state.code
        kernel = Kernel(self, self._context(call, actor))
        params = NO_BLOCK if call.params is None else kernel.ipld.accept(call.params)
        name, runtime = self.machine.registry.runtime_for(code)
        if self.tracer is not None:
            self.tracer.event(Dispatched(actor, code, name, state.delegated_address))
        if needs_fresh_stack(self.depth - 1):
            outcome = self.machine.stacks.run(lambda: runtime.invoke(kernel, code, params), self.gas.exhaust)
        else:
            outcome = runtime.invoke(kernel, code, params)
        block, code_ = self._returned(kernel, outcome)
        if block is not None:
            if self.depth == 1:
                self.gas.charge("OnReturnValue", self.prices.storage_per_byte * len(block.data))
            else:
                self.gas.charge("OnMethodReturn", self.prices.return_per_link * len(block.links))
        return CallResult(code_, block, outcome.message, outcome.is_plain)

    @staticmethod
    def _returned(kernel: Kernel, outcome: Outcome) -> tuple[Block | None, int]:
        try:
            return kernel.ipld.find(outcome.block), outcome.exit_code
        except SyscallError:
            return None, ExitCode.SYS_MISSING_RETURN

    def _context(self, call: Call, actor: ActorID) -> InvocationContext:
        return InvocationContext(
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

    # --- actors, each access paid for -------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look an actor up."""
        if self._access.level(actor) is not None:
            return self.tree.get_actor(actor)
        self._access.charge_read(actor, self.gas)
        state = self.tree.get_actor(actor)
        self._access.record_read(actor)
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Change or create an actor."""
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
            self.gas.charge("OnCreateActor", self.prices.actor_create)
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

    def _create_from_send(self, call: Call) -> ActorID:
        """An account or a placeholder for an address that nobody has yet."""
        address = call.to
        is_key = address.protocol in (Protocol.SECP256K1, Protocol.BLS)
        if not is_key and not is_eth_namespace(address):
            raise SyscallError(ErrorNumber.NOT_FOUND, f"nobody has the address {address}")
        if call.read_only:
            raise SyscallError(ErrorNumber.READ_ONLY, f"a read-only call cannot create {address}")
        if address.protocol is Protocol.BLS and address.payload == _ZERO_BLS_KEY:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "the zero BLS key cannot have an account")
        prices = self.prices
        cost = prices.actor_create + prices.address_assignment + prices.address_lookup
        self.gas.charge("OnCreateActor", cost)
        actor = self.tree.register_address(address)
        code = self.machine.manifest.code("account" if is_key else "placeholder")
        self.set_actor(actor, ActorState(code, delegated_address=None if is_key else address))
        if self.tracer is not None:
            self.tracer.event(ActorCreated(actor, address))
        if is_key:
            # The constructor runs at the depth of the send, and its exit code is ignored: the network's rule.
            params = Block(CBOR, encode(address.to_bytes()))
            constructor = Call(SYSTEM_ACTOR, Address.id(actor), METHOD_CONSTRUCTOR, params)
            self._send_resolved(constructor, actor)
        return actor

    # --- transactions -----------------------------------------------------------------------------------------

    def _begin(self) -> _Mark:
        return _Mark(self.tree.begin(), len(self.events), self._access.mark(), self.journal.mark())

    def _rollback(self, mark: _Mark) -> None:
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


def _ended(result: CallResult, used: int) -> CallEnded:
    """The end of a call that has an exit code; `used` in milligas."""
    block = result.block or Block(0, b"")
    return CallEnded(result.exit_code, block.data, block.codec, used, message=result.message, is_plain=result.is_plain)
