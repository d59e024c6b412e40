"""Calls in a session that the kernel runs: of native actors, of Filecoin's precompiles, and of masked IDs.

The transaction stops before such a call (`guests/revm/src/native.rs`). The state tree gets the accounts that the
transaction has changed, and the machine's calls run the actor. The guest gets what it has changed of accounts, as
entries of its journal. A contract that the actor calls runs in the session again. Code and slots of contracts are only
in the guest.

What such a call has changed in the tree is undone with the frame that made the call: the guest's journal counts the
times that the kernel was left, and each stop tells how many of them the transaction still has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, TypeVar, cast

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Transaction
from bridge.evm_steps import FundsMissing
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.context import InvocationContext
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import GasTracker
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import BacktraceFrame, Call, CallResult
from hypervisor.machine.call_manager import Mark
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.state.state_tree import ActorState
from hypervisor.state.undo_map import Journal
from hypervisor.threads import needs_fresh_stack
from hypervisor.types import ActorID, TokenAmount
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.engine import CallInputs, CallKind, FrameOutcome, Status, SubcallOutcome
from runtimes.evm.revm.accounts import EMPTY_CODE, Accounts, address_of_state, delegated_address
from runtimes.evm.revm.calls import FREE, EthereumCalls, TransactionEnvironment
from runtimes.evm.revm.guest import KINDS, STATUS
from runtimes.evm.revm.kernel_calls import call_filecoin_precompile, contract_outcome
from runtimes.evm.revm.protocol import (
    CALL_REQUEST,
    CHANGED_ACCOUNT,
    CHANGES,
    COUNT,
    KERNEL_BYTE,
    NATIVE_END,
    NATIVE_ENTRY,
    NATIVE_RESULT,
    OPERATION_HEAD,
    POSITION,
    SET_ACCOUNT,
    Answer,
    Exit,
    HeldFlag,
    KernelFlag,
    Mode,
    Operation,
)
from runtimes.evm.revm.record import text_of
from runtimes.evm.revm.requests import Requests
from runtimes.evm.revm.transactions import Entry
from store.cid import EMPTY_ARRAY_CID, RAW, Cid
from store.keccak import keccak

T = TypeVar("T")
KERNEL: Final = EthAddress(bytes([KERNEL_BYTE]) * 20)
"""Emitter of the logs that stand for events of actors; each has the event's number."""
_LINK: Final = "session"


class _Link(NamedTuple):
    """The newest point at which guest and tree agree: position and event count of the guest, log size of the tree."""

    position: bytes
    events: int
    written: int


def _amounts(state: ActorState | None) -> tuple[TokenAmount, int, Cid] | None:
    """Return what the guest has of an actor."""
    return None if state is None else (state.balance, state.nonce, state.code)


class SessionAccounts(Accounts):
    """The accounts of a transaction whose contracts are in a session: their code is read there."""

    crossing: NativeCalls

    def _code(self, actor: ActorID | None) -> tuple[Cid, bytes]:
        state = None if actor is None else self._tree.get_actor(actor)
        if actor is None or state is None or state.code != self.evm_code:
            return super()._code(actor)
        code = self.crossing.code(self.address_of(actor))
        return (self._contracts.put_code(code), keccak(code)) if code else (EMPTY_CODE, EMPTY_CODE_HASH)


class NativeCalls(EthereumCalls):
    """The machine's calls of a transaction in a session."""

    def __init__(
        self, requests: Requests, transaction: Transaction, sender: EthAddress, environment: TransactionEnvironment,
        entry: Entry | None,
    ) -> None:  # fmt: skip
        """Begin the transaction; its tracer gets the kernel's events between those of the record."""
        machine, fork = requests.machine, environment.fork
        replay = requests.recording.replay if requests.mode & Mode.RECORD else None
        accounts = SessionAccounts(machine, Journal(), environment.block.filecoin_addresses, None, fork.clears_empty)
        accounts.crossing = self
        gas, own = GasTracker(transaction.gas_limit, per_gas=1), delegated_address(sender)
        super().__init__(machine, gas, ActorID(0), own, transaction.nonce, environment, accounts)
        self.tracer = self._replay = replay
        self._requests, self._sender = requests, sender
        self._entry = entry
        self._nested = 0
        """Number of calls of native actors that have not ended."""
        self._base: dict[ActorID, ActorState | None] = {}
        """Actors that native actors have changed, as they were before the transaction."""
        self._is_inside = False
        """True while a contract that a native actor has called runs, or after it could not go on."""
        self.on_log: Callable[[EthAddress, Log], None] | None = None
        """Takes events of actors that have the form of a log, which may still be undone."""
        self.first: CallResult | None = None
        """Result of the transaction's first call, if it is one of a native actor."""
        self._set_link(_Link(bytes(POSITION.size), 0, self.tree.mark()))
        self._marks = [self._mark()]
        """Checkpoints of each time that the kernel was left."""
        self.exchanged: list[Mark] = []
        """Checkpoints after each exchange of the state; what is undone after one does not undo it."""

    # --- the two states ---------------------------------------------------------------------------------------

    @property
    def _link(self) -> _Link:
        link: _Link = self.journal.get(_LINK)
        return link

    def _set_link(self, link: _Link) -> None:
        self.journal.set(_LINK, link)

    def _mark(self) -> Mark:
        mark = self.begin()
        self.tree.commit()
        return mark

    def rollback(self, mark: Mark) -> None:
        """Undo the changes since the checkpoint, also those in the guest."""
        before = self._link.position
        super().rollback(mark)
        if self._link.position != before and not self._is_inside:
            self._requests.operate(OPERATION_HEAD.pack(Operation.REVERT, KERNEL) + self._link.position)

    def _count(self) -> bytes:
        """Make a checkpoint, and return its number for the guest."""
        self._marks.append(self._mark())
        return COUNT.pack(len(self._marks) - 1)

    def _take_changes(self, data: bytes) -> int:
        """Go back to what the transaction still has of the kernel's work, and write what it has changed to the tree.

        Returns the position after this in a stop's message.
        """
        count, position, changed = CHANGES.read(data)
        if count < len(self._marks) - 1:
            self.tree.begin()
            super().rollback(max([self._marks[count], *self.exchanged[-1:]]))
            del self._marks[count + 1 :]
        for account in CHANGED_ACCOUNT.read_all(data, CHANGES.size, changed):
            balance = TokenAmount(int.from_bytes(account.balance, "big"))
            self._write(EthAddress(account.address), balance, account.nonce, account.flags)
        self._set_link(self._link._replace(position=position, written=self.tree.mark()))
        self.origin = self.accounts.find(self._sender) or ActorID(0)
        return CHANGES.size + changed * CHANGED_ACCOUNT.size

    def _write(self, address: EthAddress, balance: TokenAmount, nonce: int, flags: int) -> None:
        """Write an account of the guest to the tree; the nonce, code and slots of a contract are written at the end.

        Code that an observer sets at a masked ID makes an account of its own there, which calls by contracts reach.
        """
        tree, accounts = self.tree, self.accounts
        if flags & HeldFlag.REPLACED and tree.lookup_id(delegated_address(address)) is None:
            accounts.create_account(address)
        elif address in self._requests.aliases:  # the session adds what it has received at the end
            return
        actor = accounts.find(address)
        state = None if actor is None else tree.get_actor(actor)
        if actor is None or state is None:
            if not (balance or nonce or flags):
                return
            actor = accounts.create_account(address)
            state = tree.existing(actor)
        code, head = state.code, state.head
        if flags and code in accounts.account_codes:
            code, head = accounts.evm_code, EMPTY_ARRAY_CID
        nonce = state.nonce if code == accounts.evm_code else nonce
        tree.set_actor(actor, ActorState(code, head, nonce, balance, state.delegated_address))

    def _give_changes(self) -> None:
        """Give the guest what the kernel has changed since they agreed, and the events."""
        link, operations = self._link, []
        for actor, old in self.tree.states_before(link.written).items():
            state = self.tree.get_actor(actor)
            if _amounts(old) == _amounts(state):
                continue
            address = address_of_state(actor, cast(ActorState, old if state is None else state))
            if self.tree.lookup_id(self.accounts.filecoin_address(address)) != actor:
                continue  # an observer has replaced the actor there
            self._base.setdefault(actor, old)
            is_native, was_native = self._is_native(state), self._is_native(old)
            flags = 0
            if is_native != was_native:
                flags = KernelFlag.NATIVE if is_native else KernelFlag.NO_CODE
            balance, nonce = (0, 0) if state is None else (state.balance, state.nonce)
            # The guest has nonce, code and slots of contracts.
            if state is None or state.code != self.accounts.evm_code:
                flags |= KernelFlag.NONCE
            fields = SET_ACCOUNT.pack(balance=balance.to_bytes(32, "big"), nonce=nonce, flags=flags)
            operations.append(OPERATION_HEAD.pack(Operation.SET_ACCOUNT, address) + fields)
        emit = OPERATION_HEAD.pack(Operation.EMIT, KERNEL)
        operations += [emit + COUNT.pack(number) for number in range(link.events, len(self.events))]
        position = link.position
        if operations:
            position = self._requests.operate(b"".join(operations) + OPERATION_HEAD.pack(Operation.POSITION, KERNEL))
        self._set_link(_Link(position, len(self.events), self.tree.mark()))

    def _is_native(self, state: ActorState | None) -> bool:
        return state is not None and state.code not in self.accounts.ethereum_codes

    def base(self, actor: ActorID, state: ActorState | None) -> ActorState | None:
        """Return an actor, whose present state is given, as it was before the transaction."""
        return self._base.get(actor, state)

    def settle(self) -> None:
        """Give the tree what the guest has changed."""
        self._take_changes(self._requests.operate(OPERATION_HEAD.pack(Operation.CHANGES, KERNEL)))

    def note_exchange(self) -> None:
        """Note that the guest has read the tree again."""
        self._base.clear()
        position = self._requests.operate(OPERATION_HEAD.pack(Operation.POSITION, KERNEL))
        self._set_link(_Link(position, len(self.events), self.tree.mark()))
        self.exchanged.append(self._mark())

    def send_as(self, call: Call) -> CallResult:
        """Make a call in an actor's name, without gas. Raises SyscallError."""
        self.settle()
        outer, self.gas = self.gas, GasTracker(self.gas.limit, tracer=self.tracer, per_gas=1)
        try:
            return self.send(call)
        finally:
            self.gas = outer
            self._give_changes()

    def code(self, address: EthAddress) -> bytes:
        """Return the code of an account in the guest."""
        return self._requests.operate(OPERATION_HEAD.pack(Operation.HELD_CODE, address))

    # --- calls by contracts -----------------------------------------------------------------------------------

    def answer(self, data: bytes) -> bytes:
        """Run a call for the guest, and return the answer to it."""
        at = self._take_changes(data)
        self._requests.report_stop()
        request = CALL_REQUEST.read(data, at)
        at += CALL_REQUEST.size
        caller, gas, value = request.caller, request.gas, int.from_bytes(request.value, "big")
        calldata = data[at : at + request.size]
        inputs = CallInputs(KINDS[request.kind], gas, EthAddress(request.target), value, calldata)
        if inputs.kind is CallKind.DELEGATECALL:
            inputs = replace(inputs, value=0)
        outer = self.gas, self.charges_access, self.prices, self.depth
        tracker = GasTracker(gas, tracer=self.tracer, per_gas=1)
        self.gas, self.charges_access, self.prices, self.depth = tracker, False, FREE, request.depth
        refund, self._nested = self.accounts.refund, self._nested + 1
        run = partial(self._run, EthAddress(caller), inputs, bool(request.is_static))
        self._is_inside = False
        try:
            is_deep = self._nested > 1 and needs_fresh_stack(self._nested - 1)
            outcome = self.on_fresh_stack(run) if is_deep else run()
        finally:
            self._nested -= 1
            self.gas, self.charges_access, self.prices, self.depth = outer
        self._give_changes()
        if self._replay is not None:
            self._replay.note_native(min(tracker.used, gas))
        refund = self.accounts.refund - refund
        self._is_inside = self._nested > 0
        result = NATIVE_RESULT.pack(
            Answer.NATIVE_RESULT, success=outcome.success, gas_used=min(tracker.used, gas), refund=refund,
            size=len(outcome.output),
        )  # fmt: skip
        return result + outcome.output + self._count()

    def on_fresh_stack(self, work: Callable[[], T]) -> T:
        """Run `work` on another stack; an interrupt ends it."""
        return self.machine.stacks.run(work, lambda: self.gas.exhaust())  # the tracker changes

    def _run(self, caller: EthAddress, inputs: CallInputs, static: bool) -> SubcallOutcome:
        accounts, name = self.accounts, self.filecoin_precompiles.get(inputs.address)
        actor, value = accounts.find(caller), TokenAmount(inputs.value)
        if actor is None:
            actor = accounts.create_account(caller)  # a test calls as an address that was never used
        self.backtrace.clear()
        balance = accounts.balance(actor)
        if value > balance and (self.depth or name is not None):
            if self.tracer is not None:
                self.tracer.event(FundsMissing(inputs.address, inputs.data, value, balance, gas=inputs.gas))
            return SubcallOutcome(False)
        if name is not None:
            own = self.origin, self.origin_address, self.nonce
            context = InvocationContext(*own, actor, actor, INVOKE_EVM, value, self.gas_premium, static)
            return call_filecoin_precompile(self, context, name, inputs, inputs.gas)
        params = Block(RAW, inputs.data) if inputs.data else None
        to = accounts.filecoin_address(inputs.address)
        call = Call(actor, to, INVOKE_EVM, params, value, inputs.gas, static)
        if self.depth == 0:
            if self._entry is not None:
                call = Call(actor, self._entry.to, self._entry.method, self._entry.params, value)
            self.first = self.send_first(call)
            return contract_outcome(self.first)
        try:
            return contract_outcome(self.send(call))
        except SyscallError as error:
            return SubcallOutcome(error.number == ErrorNumber.NOT_FOUND)
        except OutOfGas:
            return SubcallOutcome(False)

    # --- calls of contracts -----------------------------------------------------------------------------------

    def enter(
        self,
        contract: ActorID,
        caller: EthAddress,
        value: int,
        data: bytes,
        static: bool = False,
        creates: bool = False,
    ) -> FrameOutcome:
        """Call a contract, or run the init code of a new one, for a native actor.

        The kernel has transferred the value.
        """
        self._give_changes()
        target = self.accounts.address_of(contract)
        head = NATIVE_ENTRY.pack(
            Answer.NATIVE_ENTER, target=target, caller=caller, value=value.to_bytes(32, "big"),
            gas=self.gas.available, is_static=static, depth=self.depth - 1, creates=creates, size=len(data),
        )  # fmt: skip
        self._is_inside = True
        ended = self._requests.answer_and_go_on(head + data + self._count(), Exit.NATIVE_END)
        self._is_inside = False
        at = self._take_changes(ended)
        self._requests.report_stop()
        result, used, refund, size = NATIVE_END.read(ended, at)
        at += NATIVE_END.size
        self.gas.used += used  # the record has the charges
        self.accounts.add_refund(refund)
        status, data = STATUS[result], ended[at : at + size]
        if status == ExitCode.SYS_OUT_OF_GAS:
            reason = text_of(result, data, value, target)
            if reason:
                self.backtrace.set_cause(reason)
            raise OutOfGas(reason or "out of gas")
        return FrameOutcome(Status(status), data)

    # --- events -----------------------------------------------------------------------------------------------

    def emit(self, events: Iterable[StampedEvent]) -> None:
        emitted = list(events)
        super().emit(emitted)
        if self.on_log is None:
            return
        for event in emitted:
            log = entries_to_log(event.entries)
            if log is not None:
                self.on_log(self.accounts.address_of(event.emitter), log)

    # --- the end ----------------------------------------------------------------------------------------------

    def event(self, log: Log) -> StampedEvent:
        """Return the event for which a log of `KERNEL` stands."""
        return self.events[COUNT.read(log.data).count]

    def logs(self, logs: tuple[tuple[EthAddress, Log], ...]) -> tuple[tuple[EthAddress, Log], ...]:
        """Return a transaction's logs, with the events of actors that have the form of one."""
        found = []
        for address, log in logs:
            if address == KERNEL:
                event = self.event(log)
                own = entries_to_log(event.entries)
                if own is not None:
                    found.append((self.accounts.address_of(event.emitter), own))
            else:
                found.append((address, log))
        return tuple(found)

    def reason(self, status: int, output: bytes, message: str) -> str:
        """Return the original failure of a native actor that explains the transaction's."""
        if status == ExitCode.OK:
            return ""
        if self.first is None:
            to = Address.id(self.origin)
            self.backtrace.push_frame(BacktraceFrame(to, status, message, output, is_plain=True))
        return self.backtrace.reason
