"""Calls in a session that stop for an observer, such as the cheatcodes of Solidity tests.

The observer sees calls of the addresses that it watches, and calls by frames at the depths that it asks for. It answers
each with a result, or enters it and sees its end. Meanwhile it reads and writes accounts; like the frame's own changes,
its writes are undone if the frame that made the call fails. Its logs are all logs, also those of frames that fail.

The call's changes are kept only by `ObservedCall.keep`, or at its end if the observer sees nothing of it. Then other
calls may follow it in the guest, up to one that stops, or whose check fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from struct import Struct
from typing import Final, Protocol, Self

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, create2_address, create_address
from bridge.ethereum.transactions import BLOB, DELEGATION_PREFIX, DYNAMIC_FEE, AccessList, Transaction
from bridge.filecoin.receipts import Log
from hypervisor.errors import Fatal
from hypervisor.kernel.call import Call, CallResult
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.threads import needs_fresh_stack
from runtimes.evm.contracts.engine import CallKind, Status, SubcallOutcome
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import required_gas
from runtimes.evm.revm.accounts import delegated_address
from runtimes.evm.revm.exchanges import Exchanges
from runtimes.evm.revm.frames import reverting
from runtimes.evm.revm.guest import (
    CHANGED,
    JUMPS,
    KEEP,
    NONCE,
    PASSED,
    PAUSES,
    STATUS,
    TOUCHED,
    Command,
    Exit,
    Guest,
    GuestFailure,
    read_logs,
)
from runtimes.evm.revm.native import KERNEL
from runtimes.evm.revm.observation import (
    Access,
    Answer,
    CannotObserve,
    InterceptedCall,
    Interest,
    ObservedEnd,
    Operation,
    SessionCall,
)
from runtimes.evm.revm.observed_natives import ObservedNatives
from runtimes.evm.revm.session import NeedsKernel, StateSession

_KINDS: Final = (CallKind.CALL, CallKind.STATICCALL, CallKind.DELEGATECALL, CallKind.CALLCODE, None, None)
_CREATE2: Final = 5
_CALL: Final = Struct("<IIIIQ20s20s20s32s32sI")
_ENDED: Final = Struct("<III20sI")
_DONE: Final = Struct("<IIQQI")
_INTEREST: Final = Struct("<III")
_WORD: Final = Struct("<I")
_RESULT: Final = Struct("<II")
_OPERATION: Final = Struct("<I20s")
_ACCESS: Final = Struct("<I20s32s32s32s32s")
_RANDOM: Final = Struct("<20s32sI")
_ACCOUNT: Final = Struct("<I32sQ")
_GAS: Final = Struct("<QQQ")
_CHARGES: Final = Struct("<QQQQ")
_CHARGED: Final = Struct("<QQ")
_PRICE_BITS: Final = 128
_NO_LOGS: Final = bytes(4)
_SAME_LOGS: Final = b"\xff" * 4
"""Instead of the logs since the last border: they are those of the call (guests/revm, session.rs)."""
_CHECK: Final = Struct("<II")
NO_CHECK: Final = bytes(_CHECK.size)
_AS_SENDER, _UNSEEN, _ISOLATED = 1, 2, 4
_ISOLATED_BASE: Final = 21_000
"""Gas that forge adds to the limit of an isolated call, under every fork."""


class CallObserver(Protocol):
    """Sees calls of a session."""

    @property
    def watched(self) -> frozenset[EthAddress]:
        """Addresses whose calls stop."""

    @property
    def watch(self) -> int:
        """Modes of frames.

        - `RECORDS`: accesses to slots are recorded; `RECORDS_ALL`: hashes of 64 bytes and accesses to accounts, too.
          `PAUSES`: they use no gas.
        - `ISOLATES`: the calls of the first frame that do not stop are transactions. In those and in those of
          `ObservedCall.isolate`, contracts see the gas price with `SHOWS_PRICE` and the base fee with `SHOWS_BASE_FEE`,
          and 0 otherwise.
        """

    @property
    def random(self) -> frozenset[EthAddress]:
        """Accounts before whose slots are accessed `random_word` is called."""

    @property
    def hooked(self) -> frozenset[EthAddress]:
        """Accounts after accesses to whose slots `accessed` is called, unless Python runs the frames."""

    def accessed(self, run: ObservedCall) -> bytes | None:
        """Take an access to a slot, which `ObservedCall.accesses` has; return data with which its frame reverts."""

    def random_word(self, run: ObservedCall, account: EthAddress, slot: int, is_write: bool) -> None:
        """Draw the word of a slot that is about to be accessed, unless it has been."""

    def interest(self) -> Interest:
        """Return what the observer wants to see from now on."""

    def begin_call(self, to: EthAddress) -> None:
        """Begin a following call: one that stops, has logs, or is the last one."""

    def undo(self) -> None:
        """Undo what the observer has done in the call that has stopped."""

    def call(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome | None:
        """Return a call's outcome, of `ObservedCall.enter` or another one; None after `ObservedCall.pass_on`.

        Raises CannotObserve.
        """

    def intercept(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        """Return the outcome of a creation by `ObservedCall.create`, of `ObservedCall.enter` or another one."""

    def entered_end(self, run: ObservedCall, request: InterceptedCall, outcome: SubcallOutcome) -> SubcallOutcome:
        """Return the outcome of a call that was passed on, in which others have stopped."""

    def unseen_end(self, request: InterceptedCall) -> None:
        """Take the end of a call that was passed on, in which no other has stopped."""

    def call_end(self, run: ObservedCall, depth: int, outcome: SubcallOutcome) -> None:
        """Take the end of a call by a frame at `depth` that was not entered."""

    def log(self, emitter: EthAddress, log: Log) -> None:
        """Take a log; its frame may still fail."""


class ObservedCall:
    """A call in a session, and those that follow it, from the start until the last one is kept or abandoned."""

    _entered: SubcallOutcome | None = None
    """The outcome of the call that was entered last."""
    _depth = 0
    """Number of entered calls whose ends stop."""
    _passing = b""
    """Answer of `pass_on`, without what the observer wants to see until then."""
    _passed: InterceptedCall | None = None
    """The call that was passed on last, whose end does not stop unless another call does before."""
    _frames = 0
    """`FRAMES` if Python runs the frames."""
    _recorded = 0
    """Mode of a call whose record is read at its end, before it is kept or discarded; 0 for others."""
    _is_begun = False
    _is_interrupted = False
    _is_renewed = False
    _is_isolated = False
    _is_exchanging = False
    _next_warmth: bytes | None = None
    _watch = 0
    _random: frozenset[EthAddress] = frozenset()
    _hooked: frozenset[EthAddress] = frozenset()
    _gas_price = 0
    _blob_hashes: tuple[bytes, ...] = ()
    wants_kernel = False
    """True if the call has met a native actor, without the kernel."""
    is_running = True
    """True until the call is kept or discarded."""
    _following: Sequence[SessionCall] = ()
    _keeps = False
    _ended = 0
    """Number of calls that ended before the running one."""

    def __init__(
        self, session: StateSession, guest: Guest, observer: CallObserver, sender: EthAddress, to: EthAddress,
        kernel: bool = False,
    ) -> None:  # fmt: skip
        """With `kernel`, the call may call native actors."""
        self._session, self._guest, self._observer = session, guest, observer
        self.origin, self.to = sender, to
        self._operations: list[bytes] = []
        """Writes that the guest executes with the next message."""
        self._ends: list[ObservedEnd] = []
        self._exchanges = Exchanges(session)
        self._native = ObservedNatives(session, guest, self._exchanges, self._message_of) if kernel else None
        self._reopened: list[InterceptedCall] = []
        """Calls that were passed on and whose ends stop."""
        self.touched: dict[EthAddress, None] = {}
        """Accounts that must exist after the call, in order: those touched by the observer."""
        self.created: set[EthAddress] = set()
        """Contracts that the call had created at its last exchange of the state."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self.is_running:
            self._session.abandon(self._guest)
        self._exchanges.undo_all()
        self._session.draw = None
        if self._native is not None:
            self._session.end_kernel()
        if self._is_renewed or self._is_isolated:
            self._session.forget_block()

    def run(
        self, value: int, data: bytes, gas: int, keep: bool, check: bytes = NO_CHECK,
        following: Sequence[SessionCall] = (), nonce: int | None = None,
    ) -> list[ObservedEnd]:  # fmt: skip
        """Make the call, then those of `following`; return the end of each call that was made. Raises CannotObserve.

        With `nonce`, the sender gets this nonce, and the call creates its contract.

        No call follows one that has stopped. After one that has succeeded and was kept at once, the next one is made
        only if the check succeeds.
        """
        session = self._session
        session.draw = self._draw
        frames = self._frames = session.begin_frames(self._guest)
        recorded = self._recorded = session.begin_record(frames)
        self._set_watch(self._observer.watch)
        self._random, self._hooked = self._observer.random, self._hooks()
        mode = (KEEP if keep else 0) | self._watch | recorded | frames
        if session.records_jumps:
            mode |= JUMPS
        if self._native is not None or nonce is not None or self._gas_price or self._blob_hashes:
            kind, price, hashes = BLOB if self._blob_hashes else DYNAMIC_FEE, self._gas_price, self._blob_hashes
            to, mode = (self.to, mode) if nonce is None else (None, mode | NONCE)
            call = Transaction(kind, None, nonce or 0, to, value, data, gas, price, price, blob_hashes=hashes)
            message = session.transaction_message(self.origin, call, mode)
            if self._native is not None:
                self._native.begin(call, self.origin, mode, self._observer.log)
        else:
            message = session.call_message(self.origin, self.to, value, data, gas, mode)
        if message is None:
            raise CannotObserve
        addresses = (self._observer.watched, self._random, self._hooked)
        parts = [message, self._interest(), *map(_address_list, addresses), check]
        for each in following:
            message = session.call_message(each.sender, each.to, 0, each.data, each.gas, mode)
            if message is None:
                break
            parts += (_WORD.pack(len(message)), message)
        self._is_begun, self._keeps, self._following = True, keep, following
        try:
            begin = partial(self._call, Command.TRANSACT, b"".join(parts))
            if self._native is None:
                self._go_on(begin())
            else:
                self._native.calls.on_fresh_stack(lambda: self._go_on(begin()))
        except (CannotObserve, NeedsKernel) as stop:
            if not (self.is_running and self._guest.ended):
                if isinstance(stop, NeedsKernel):
                    raise self._kernel_needed() from stop
                raise
            self._observer.undo()
            self._begin_stopped()
            session.abandon(self._guest)
            self.is_running = False
            return self._ends
        self._take_ends(self._last, is_last=True)
        if recorded:
            try:
                record = session.read_record(self._guest)
            except GuestFailure as failure:
                raise self._failed(failure) from failure
            session.replay(*record, 0)
        return self._ends

    def _kernel_needed(self) -> CannotObserve:
        """Return the exception for a call that meets a native actor without the kernel."""
        self.wants_kernel = True
        return CannotObserve()

    def _set_watch(self, watch: int) -> None:
        self._watch = watch
        if self._frames and watch & PAUSES:
            raise CannotObserve  # their engine uses gas

    def _take_ends(self, data: bytes, is_last: bool) -> None:
        """Read the ends of calls; take note of those that were kept, and give the observer the logs."""
        ends, at, kept, observed = self._ends, 0, 0, []
        at_once = 0
        while at < len(data):
            at_once, result, used, refund, size = _DONE.unpack_from(data, at)
            at += _DONE.size
            output, at = data[at : at + size], at + size
            words_at = at + _WORD.size
            at = words_at + 32 * _WORD.unpack_from(data, at)[0]
            words = data[words_at:at]
            logs, at = read_logs(data, at)
            same = data[at : at + _WORD.size] == _SAME_LOGS
            seen, at = (logs, at + _WORD.size) if same else read_logs(data, at)
            if self._native is not None:
                logs = self._native.logs(logs)
            if logs or seen:
                observed.append((len(ends), seen))
            touched: list[EthAddress] = []
            if at_once & TOUCHED:
                after = at + _WORD.size + 20 * _WORD.unpack_from(data, at)[0]
                touched = [EthAddress(data[place : place + 20]) for place in range(at + _WORD.size, after, 20)]
                at = after
            changed, passed = at_once & CHANGED != 0, at_once & PASSED != 0
            ends.append(ObservedEnd(STATUS[result], output, used, refund, logs, words, changed, passed, touched))
            kept += at_once != 0
        if is_last and at_once:
            self.is_running = False
        if kept and self._keeps:
            self._session.note_kept(kept)
        if is_last and self._passed is not None:
            self._end_unseen(self._passed)
        for number, logs in observed:
            self._begin(number)
            for emitter, log in logs:
                self._log(emitter, log)
        if is_last:
            self._begin(len(ends) - 1)

    def check(self, sender: EthAddress, to: EthAddress, data: bytes, gas: int, always: bool) -> bytes:
        """Return the message of a call without effect for `run`, only after changes or `always`; empty for none."""
        session = self._session
        message = None
        if session.machine.tracer is None:
            message = session.call_message(sender, to, 0, data, gas, self._observer.watch)
        return b"" if message is None else _CHECK.pack(always, len(message)) + message

    def _call(self, command: Command, data: bytes) -> int:
        try:
            return self._guest.call(command, data)
        except GuestFailure as failure:
            raise self._failed(failure) from failure

    def _failed(self, failure: GuestFailure) -> CannotObserve:
        """Close the session, whose guest lacks memory or has a defect; return the call's error. Raises Fatal."""
        self.is_running = False
        self._exchanges.undo_after(0)
        self._session.close_after(failure)
        return CannotObserve()

    def _message_of(self, exit_code: int, end: Exit) -> bytes:
        """Answer requests until an exit, and return its message."""
        self._go_on(exit_code, end)
        return self._last

    def _go_on(self, exit_code: int, end: Exit = Exit.DONE) -> SubcallOutcome | None:
        """Answer requests until the call that was entered last has ended, and return its outcome; None at an exit."""
        guest, session = self._guest, self._session
        while True:
            request = guest.output()
            if self._is_interrupted:
                raise KeyboardInterrupt  # for the thread that waits
            if self._exchanges:
                number = self._number_of_exchanges()
                self._exchanges.undo_after(number)
                if self._native is not None:
                    del self._native.calls.exchanged[number:]
            if exit_code == end:
                self._last = request
                return None
            if exit_code > Exit.PAUSE:
                self._begin_stopped()
            if exit_code == Exit.CALL:
                answer: bytes | None = self._answer_call(request)
            elif exit_code == Exit.ENDED:
                depth, outcome = self._read_end(request)
                self._depth -= 1
                if not self._reopened or self._reopened[-1].depth != depth:
                    return outcome
                answer = self._answer(self._observer.entered_end(self, self._reopened.pop(), outcome), outcome)
            elif exit_code == Exit.ACCESSED:
                failed = self._observer.accessed(self)
                answer = self._message(Answer.PASS) if failed is None else reverting(failed)
            elif exit_code == Exit.CALL_END:
                self._observer.call_end(self, *self._read_end(request))
                answer = self._message(Answer.PASS)
            else:
                try:
                    answer = session.answer(exit_code, request, self._recorded)
                except GuestFailure as failure:
                    raise self._failed(failure) from failure
            if answer is None:
                raise self._kernel_needed()
            exit_code = self._call(Command.ANSWER, answer)

    def _draw(self, request: bytes) -> bytes:
        """Draw a word, also for a frame that Python runs."""
        account, slot, is_write = _RANDOM.unpack(request)
        self._observer.random_word(self, EthAddress(account), int.from_bytes(slot, "big"), bool(is_write))
        return self._message(Answer.PASS)

    def _interrupt(self) -> None:
        self._is_interrupted = True

    def _begin_stopped(self) -> None:
        """Take the ends of the calls before the one that has stopped."""
        number = self._guest.ended
        if number != self._ended:
            self._call(Command.RESULTS, b"")
            self._take_ends(self._guest.output(), is_last=False)
            self._begin(number)

    def _begin(self, number: int) -> None:
        """Set the call that is running, or was the last one."""
        if number != self._ended:
            self._ended = number
            self.origin, self.to, _, _ = self._following[number - 1]
            self._observer.begin_call(self.to)

    def _interest(self) -> bytes:
        """Return what the observer wants to see from now on."""
        return self._packed(self._observer.interest())

    def _packed(self, interest: Interest) -> bytes:
        calls, ends, at_once = interest
        return _INTEREST.pack(calls, ends, at_once and not (self._recorded or self._exchanges or self._native))

    def _hooks(self) -> frozenset[EthAddress]:
        """Return the contracts with storage hooks, which frames outside the guest do not call."""
        return frozenset() if self._frames else self._observer.hooked

    def _message(self, answer: Answer, *parts: bytes) -> bytes:
        """Return an answer, which also executes what the observer has written, and what it watches."""
        watch, random, hooked = self._observer.watch, self._observer.random, self._hooks()
        if self._watch != watch:
            self._set_watch(watch)
            self._write(Operation.WATCH, ZERO_ADDRESS, _WORD.pack(watch))
        if self._random != random:
            self._random = random
            self._write(Operation.RANDOM, ZERO_ADDRESS, _address_list(random))
        if self._hooked != hooked:
            self._hooked = hooked
            self._write(Operation.HOOKED, ZERO_ADDRESS, _address_list(hooked))
        operations = b"".join(self._operations)
        self._operations.clear()
        return b"".join((_WORD.pack(answer), _WORD.pack(len(operations)), operations, self._interest(), *parts))

    def _answer_call(self, data: bytes) -> bytes:
        at = self._take_logs(data, 0)
        entered, depth, kind, static, gas, caller, target, receiver, value, salt, size = _CALL.unpack_from(data, at)
        at += _CALL.size
        if self._passed is not None:
            if entered > self._depth:
                self._reopened.append(self._passed)
                self._depth, self._passed = entered, None
            else:
                self._end_unseen(self._passed)
        delegates, second = _KINDS[kind] is CallKind.DELEGATECALL, kind == _CREATE2
        request = InterceptedCall(
            _KINDS[kind], EthAddress(receiver if delegates else caller), EthAddress(target), EthAddress(receiver),
            int.from_bytes(value, "big"), data[at : at + size], gas, bool(static), depth, second,
            salt if second else b"", EthAddress(caller) if delegates else None,
        )  # fmt: skip
        outcome = self._observer.call(self, request)
        if outcome is None:
            self._passed = request
            return self._message(Answer.ENTER, self._passing)
        return self._answer(outcome, self._entered)

    def _answer(self, outcome: SubcallOutcome, had: SubcallOutcome | None) -> bytes:
        """Return the answer with a call's outcome; `had` is the one that it has had, if it was made."""
        if outcome is had:
            return self._message(Answer.PASS)
        created = b"" if outcome.created is None else outcome.created
        result = _RESULT.pack(outcome.success, bool(created)) + created
        return self._message(Answer.RESULT, result, _WORD.pack(len(outcome.output)), outcome.output)

    def _end_unseen(self, request: InterceptedCall) -> None:
        self._passed = None
        self._observer.unseen_end(request)

    def _take_logs(self, data: bytes, at: int) -> int:
        """Give the observer the logs at a position of a message; return the position after them."""
        if data[at : at + _WORD.size] == _NO_LOGS:
            return at + _WORD.size
        logs, at = read_logs(data, at)
        for emitter, log in logs:
            self._log(emitter, log)
        return at

    def _log(self, emitter: EthAddress, log: Log) -> None:
        """Give the observer a log, unless it has got it as the event of an actor."""
        if self._native is None or emitter != KERNEL:
            self._observer.log(emitter, log)

    def enter(self, sender: EthAddress | None = None, code: EthAddress | None = None) -> SubcallOutcome:
        """Make the requested call, as another sender and with another contract's code, and return its outcome."""
        if code is not None:
            self.code(code)
            self._write(Operation.SET_CALLEE, code)
        self._depth += 1
        flags = 0 if sender is None else _AS_SENDER
        message = self._message(Answer.ENTER, _WORD.pack(flags), sender or b"")
        if needs_fresh_stack(self._depth):
            stacks = self._session.machine.stacks
            outcome = stacks.run(lambda: self._go_on(self._call(Command.ANSWER, message)), self._interrupt)
        else:
            outcome = self._go_on(self._call(Command.ANSWER, message))
        if outcome is None:
            raise Fatal("a call has ended before one that it has made")
        self._entered = outcome
        return outcome

    def pass_on(self, sender: EthAddress | None, interest: Interest, isolates: bool = False) -> None:
        """Make the requested call, as another sender if one is given; its end is not seen unless another call stops.

        `interest` is that of the observer after it. With `isolates` the guest may make it a transaction (`ISOLATES`).
        """
        flags = _UNSEEN | (0 if sender is None else _AS_SENDER) | (_ISOLATED if isolates else 0)
        self._passing = b"".join((_WORD.pack(flags), sender or b"", self._packed(interest)))

    def make_cold(self) -> None:
        """Make all accounts and slots cold."""
        self._write(Operation.MAKE_COLD, ZERO_ADDRESS)

    def isolate(
        self, request: InterceptedCall, sender: EthAddress | None, access_list: AccessList = ()
    ) -> tuple[SubcallOutcome, int, int] | None:
        """Make the requested call as a transaction; return its outcome, gas used and refund.

        Return None if its gas does not cover the intrinsic gas. Calls without the funds for their value are none.
        """
        who, fork, limit = sender or request.caller, self.fork, request.gas
        to = None if request.kind is None else request.target
        gas = min(limit + _ISOLATED_BASE, self._session.block_gas_limit)
        call = Transaction(
            DYNAMIC_FEE, None, 0, to, request.value, request.data, gas, 0, 0, access_list=access_list
        )  # fmt: skip
        intrinsic, floor = required_gas(call, fork, who)
        if request.value and self.balance(who) < request.value:
            return self.enter(sender), 0, 0
        if max(intrinsic, floor) > gas:
            return None
        self._operate(Operation.BEGIN_ISOLATED, who, (gas - intrinsic).to_bytes(8, "little"))
        self._is_isolated = True
        for account, slots in access_list:
            self._write(Operation.TOUCH, account)
            for slot in slots:
                self.load(account, slot)
        outcome = self.enter(sender)
        values = _CHARGES.pack(limit, intrinsic, floor, fork.refund_quotient)
        used, refund = _CHARGED.unpack(self._operate(Operation.END_ISOLATED, ZERO_ADDRESS, values))
        self._is_isolated = False
        return outcome, used, refund

    def create(self, depth: int, caller: EthAddress, code: bytes, value: int, salt: bytes | None) -> SubcallOutcome:
        """Create a contract within the requested call, which costs its frame nothing; the observer sees it."""
        nonce = self.nonce(caller)
        made = create_address(caller, nonce) if salt is None else create2_address(caller, salt, code)
        second = salt is not None
        values = _WORD.pack(second), salt or bytes(32), value.to_bytes(32, "big"), _WORD.pack(len(code)), code
        self._operate(Operation.CREATE, caller, b"".join(values))
        request = InterceptedCall(None, caller, made, made, value, code, 0, False, depth, second, salt or b"")
        outcome = self._observer.intercept(self, request)
        self._operate(Operation.CREATED, ZERO_ADDRESS)
        return outcome

    def call(self, sender: EthAddress, to: EthAddress, data: bytes) -> SubcallOutcome:
        """Call a contract with the gas of the frame that has accessed a slot; the call costs the frame nothing."""
        self._operate(Operation.CALL, sender, b"".join((to, _WORD.pack(len(data)), data)))
        outcome = self.enter()
        self._operate(Operation.CALLED, ZERO_ADDRESS)
        return outcome

    def _read_end(self, data: bytes) -> tuple[int, SubcallOutcome]:
        """Return the depth of the frame that has made a call, and the call's outcome."""
        at = self._take_logs(data, 0)
        depth, result, creates, created, size = _ENDED.unpack_from(data, at)
        at += _ENDED.size
        made, status = EthAddress(created) if creates else None, STATUS.get(result, Status.REVERT)
        return depth, SubcallOutcome(status == Status.SUCCESS, data[at : at + size], made, status)

    # --- accounts, which become warm --------------------------------------------------------------------------

    def _operate(self, operation: int, address: EthAddress, values: bytes = b"") -> bytes:
        """Read an account, after what has been written."""
        self._write(operation, address, values)
        message = b"".join(self._operations)
        self._operations.clear()
        while exit_code := self._call(Command.OPERATE, message):
            answer = self._session.answer(exit_code, self._guest.output())
            if answer is None:
                raise self._kernel_needed()
            self._call(Command.ANSWER, answer)
        return self._guest.output()

    def _write(self, operation: int, address: EthAddress, values: bytes = b"") -> None:
        """Execute an operation with the next message."""
        self._operations.append(_OPERATION.pack(operation, address) + values)

    def touch(self, address: EthAddress) -> None:
        """Load an account, which exists after the call, and at once while the state is exchanged."""
        self.touched[address] = None
        if self._is_exchanging:
            machine, delegated = self._session.machine, delegated_address(address)
            tree = machine.state_tree
            actor = tree.lookup_id(delegated) or tree.register_address(delegated)
            if tree.get_actor(actor) is None:
                tree.set_actor(actor, ActorState(machine.manifest.code("ethaccount"), delegated_address=delegated))
        self._write(Operation.TOUCH, address)

    def slots(self, address: EthAddress) -> list[int]:
        """Return the slots that are not zero."""
        with self.written():
            return self._session.slots(address)

    def balance(self, address: EthAddress) -> int:
        return int.from_bytes(self._operate(Operation.ACCOUNT, address)[:32], "big")

    def nonce(self, address: EthAddress) -> int:
        return int.from_bytes(self._operate(Operation.ACCOUNT, address)[32:], "little")

    def code(self, address: EthAddress) -> bytes:
        return self._operate(Operation.CODE, address)

    def set_balance(self, address: EthAddress, amount: int) -> None:
        self._write(Operation.SET_BALANCE, address, amount.to_bytes(32, "big"))

    def set_nonce(self, address: EthAddress, nonce: int) -> None:
        self._write(Operation.SET_NONCE, address, nonce.to_bytes(8, "little"))

    def set_code(self, address: EthAddress, code: bytes) -> None:
        self._write(Operation.SET_CODE, address, _WORD.pack(len(code)) + code)

    def delegate(self, address: EthAddress, to: EthAddress | None) -> None:
        """Delegate an account to the code of another address, or remove its delegation."""
        self.set_code(address, b"" if to is None else DELEGATION_PREFIX + to)

    def load(self, address: EthAddress, slot: int) -> int:
        return int.from_bytes(self._operate(Operation.LOAD, address, slot.to_bytes(32, "big")), "big")

    def store(self, address: EthAddress, slot: int, word: int) -> None:
        self._write(Operation.STORE, address, slot.to_bytes(32, "big") + word.to_bytes(32, "big"))

    def cool(self, address: EthAddress, slot: int | None) -> None:
        """Make an account's slots cold, or one of them, with the present words as original ones."""
        only = _WORD.pack(0) if slot is None else _WORD.pack(1) + slot.to_bytes(32, "big")
        self._operate(Operation.COOL, address, only)

    @contextmanager
    def written(self) -> Iterator[StateTree]:
        """Let the context read the state tree with what the call has changed."""
        count = len(self._exchanges)
        self._exchanges.begin(self._operate(Operation.WRITE_ALL, ZERO_ADDRESS))
        try:
            yield self._session.machine.state_tree
        finally:
            self._exchanges.undo_after(count)

    def warmth(self) -> bytes:
        """Return what the call has beside the state (`split_warmth`).

        Transient words, and warm accounts and slots, with the original words of slots, and whether the call has created
        or destroyed the accounts.
        """
        return self._operate(Operation.WARMTH, ZERO_ADDRESS)

    def set_warmth(self, warmth: bytes) -> None:
        """Set what the call has beside the state after the exchange that is going on."""
        self._next_warmth = warmth

    @contextmanager
    def exchange(self) -> Iterator[StateTree]:
        """Let the context change the state tree, which has what the call has changed.

        What the call has beside the state stays, unless the context sets it (`set_warmth`). What the context has
        changed is undone if it raises an exception, or if the frame that has made the requested call fails.
        Transactions of the context run in a session of their own.
        """
        if self._is_exchanging:
            yield self._session.machine.state_tree
            return
        count = len(self._exchanges)
        self._note_created()
        if self._native is not None:
            self._native.calls.settle()
        self._exchanges.begin(self._operate(Operation.WRITE_ALL, ZERO_ADDRESS))
        self._is_exchanging = True
        try:
            with self._session.set_aside():
                yield self._session.machine.state_tree
        except BaseException:
            self._exchanges.undo_after(count)
            self._next_warmth = None
            raise
        finally:
            self._is_exchanging = False
        self._session.forget_actors()
        warmth = self.warmth() if self._next_warmth is None else self._next_warmth
        self._next_warmth = None
        self._operate(Operation.EXCHANGE, ZERO_ADDRESS, _WORD.pack(len(warmth)) + warmth)
        self._operate(Operation.LOAD_OPEN, ZERO_ADDRESS)
        if self._native is not None:
            self._native.calls.note_exchange()

    def send_as(self, call: Call) -> CallResult:
        """Make a call in an actor's name. Raises SyscallError, CannotObserve without the kernel."""
        if self._native is None:
            raise self._kernel_needed()
        return self._native.calls.send_as(call)

    def _note_created(self) -> None:
        data = self._operate(Operation.CREATIONS, ZERO_ADDRESS)
        self.created.update(EthAddress(data[at : at + 20]) for at in range(0, len(data), 20))

    def _number_of_exchanges(self) -> int:
        self._call(Command.OPERATE, _OPERATION.pack(Operation.EXCHANGES, ZERO_ADDRESS))
        return int.from_bytes(self._guest.output(), "little")

    def set_origin(self, origin: EthAddress) -> None:
        """Set the transaction's origin that contracts see."""
        self._write(Operation.SET_ORIGIN, origin)
        self.origin = origin

    def renew_block(self) -> None:
        """Let contracts see the machine's block, which has changed. Raises CannotObserve."""
        self._is_renewed = True
        if self._native is not None:
            self._native.calls.renew_block()
        if not self._session.renew_block(self._guest):
            raise CannotObserve

    def set_prices(self, gas_price: int, blob_hashes: tuple[bytes, ...], blob_base_fee: int | None) -> None:
        """Set the gas price and the blobs of the transaction, before or within it; the fee with the block."""
        self._session.blob_base_fee = blob_base_fee
        self._gas_price, self._blob_hashes = gas_price, blob_hashes
        if self._is_begun:
            if gas_price >> _PRICE_BITS:
                raise CannotObserve
            values = gas_price.to_bytes(16, "little"), _WORD.pack(len(blob_hashes)), *blob_hashes
            self._write(Operation.SET_PRICES, ZERO_ADDRESS, b"".join(values))

    def accesses(self) -> Iterator[Access]:
        """Yield what instructions have accessed since the last time."""
        data, number = self._operate(Operation.ACCESSES, ZERO_ADDRESS), int.from_bytes
        for kind, account, *words in _ACCESS.iter_unpack(data):
            first, second, third, fourth = (number(word, "big") for word in words)
            yield Access(kind & 0xFF, EthAddress(account), first, second, third, fourth, kind >> 8)

    def look_up(self, address: EthAddress) -> tuple[bool, int, int]:
        """Return whether an account exists, its balance and its nonce, without making it warm."""
        exists, balance, nonce = _ACCOUNT.unpack(self._operate(Operation.LOOK_UP, address))
        return bool(exists), int.from_bytes(balance, "big"), nonce

    def slot_state(self, address: EthAddress, slot: int) -> tuple[int, bool]:
        """Return a slot's word, and whether it is warm."""
        is_warm = any(self._operate(Operation.IS_WARM, address, slot.to_bytes(32, "big")))
        word = self.load(address, slot)
        if not is_warm:
            self.cool(address, slot)
        return word, is_warm

    def gas_used(self) -> int:
        """Return the gas that the frame which made the requested call has used."""
        return int.from_bytes(self._operate(Operation.GAS, ZERO_ADDRESS), "little")

    def reset_gas(self) -> None:
        """Give the frame that made the requested call the gas with which it began."""
        self._write(Operation.RESET_GAS, ZERO_ADDRESS)

    def ended_gas(self) -> tuple[int, int, int]:
        """Return gas limit, gas used and refund of the call that was entered last, and has ended."""
        limit, used, refund = _GAS.unpack(self._operate(Operation.ENDED_GAS, ZERO_ADDRESS))
        return limit, used, refund

    @property
    def runs_in_guest(self) -> bool:
        """True if the guest runs frames."""
        return not self._frames

    @property
    def chain_id(self) -> int:
        """The chain's ID."""
        return self._session.machine.context.chain_id

    @property
    def fork(self) -> Fork:
        """The fork whose rules hold."""
        return self._session.fork

    @property
    def precompiles(self) -> Collection[EthAddress]:
        """Addresses of precompiles, also of Filecoin's."""
        return {*self.fork.precompiles, *self._session.filecoin_precompiles}

    # --- the end ----------------------------------------------------------------------------------------------

    def keep(self) -> bool:
        """Keep the changes of the call, which has ended; return True if there are any. Raises CannotObserve."""
        is_changed = True
        try:
            if self._native is not None:
                self._native.keep()
            else:
                is_changed = self._session.keep_call(self._guest)
        except GuestFailure as failure:
            raise self._failed(failure) from failure
        self.is_running = False
        self._exchanges.keep()
        return is_changed


@lru_cache(maxsize=16)
def _address_list(addresses: frozenset[EthAddress]) -> bytes:
    return b"".join((_WORD.pack(len(addresses)), *addresses))


def observe(
    session: StateSession, observer: CallObserver, sender: EthAddress, to: EthAddress, kernel: bool = False
) -> ObservedCall:
    """Return a call of a contract, which is free and has no checks. Raises InvalidInput as `StateSession.begin` does.

    With `kernel`, it may call native actors.
    """
    if kernel:
        session.machine.state_tree.settle()
    return ObservedCall(session, session.begin(), observer, sender, to, kernel)
