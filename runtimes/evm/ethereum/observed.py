"""Calls in a session that stop for an observer, such as the cheatcodes of Solidity tests.

The observer sees calls of the addresses that it watches, and calls by frames at the depths that it asks for. It answers
each with a result, or enters it and sees its end. Meanwhile it reads and writes accounts; like the frame's own changes,
its writes are undone if the frame that made the call fails. Its logs are all logs, also those of frames that fail.

The call's changes are kept only by `ObservedCall.keep`, or at its end if the observer sees nothing of it. Then other
calls may follow it in the guest, up to one that stops, or whose check fails.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, Protocol, Self

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, create2_address, create_address
from bridge.ethereum.transactions import BLOB, DELEGATION_PREFIX, DYNAMIC_FEE, Transaction
from bridge.filecoin.receipts import Log
from hypervisor.errors import Fatal
from runtimes.evm.engine import CallKind, SubcallOutcome
from runtimes.evm.ethereum.forks import Fork
from runtimes.evm.ethereum.guest import (
    CHANGED,
    JUMPS,
    KEEP,
    PASSED,
    STATUS,
    TOUCHED,
    Command,
    Exit,
    Guest,
    GuestFailure,
    read_logs,
)
from runtimes.evm.ethereum.session import StateSession
from runtimes.evm.ethereum.validation import required_gas

ALL_DEPTHS: Final = (1 << 32) - 1
MAX_ENTERED: Final = 64
"""Number of calls that an observer may have entered at once: each takes some frames of Python's stack."""
_KINDS: Final = (CallKind.CALL, CallKind.STATICCALL, CallKind.DELEGATECALL, CallKind.CALLCODE, None, None)
_CREATE2: Final = 5
_CALL: Final = Struct("<IIIIQ20s20s20s32s32sI")
_ENDED: Final = Struct("<III20sI")
_DONE: Final = Struct("<IIQQI")
_INTEREST: Final = Struct("<III")
_WORD: Final = Struct("<I")
_RESULT: Final = Struct("<II")
_OPERATION: Final = Struct("<I20s")
_ACCESS: Final = Struct("<20s32sI")
_GAS: Final = Struct("<QQQ")
_CHARGES: Final = Struct("<QQQQ")
_CHARGED: Final = Struct("<QQ")
_PRICE_BITS: Final = 128
_NO_LOGS: Final = bytes(4)
_CHECK: Final = Struct("<II")
NO_CHECK: Final = bytes(_CHECK.size)
_AS_SENDER, _UNSEEN, _ISOLATED = 1, 2, 4
_ISOLATED_BASE: Final = 21_000
"""Gas that forge adds to the limit of an isolated call, under every fork."""


class Answer(IntEnum):
    """Answers of an observer (`answer` in guests/session/src/borders.rs).

    Make the call; go on with another result; go on with the result that the call has had.
    """

    ENTER = 16
    RESULT = 17
    PASS = 18


class Operation(IntEnum):
    """Operations on accounts (`operation` in guests/session/src/borders.rs)."""

    ACCOUNT = 0
    CODE = 1
    SET_BALANCE = 2
    SET_NONCE = 3
    SET_CODE = 4
    LOAD = 5
    STORE = 6
    SET_ORIGIN = 7
    TOUCH = 8
    WATCH = 9
    ACCESSES = 10
    GAS = 11
    RESET_GAS = 12
    ENDED_GAS = 13
    SET_PRICES = 14
    SET_CALLEE = 15
    CREATE = 16
    CREATED = 17
    MAKE_COLD = 18
    BEGIN_ISOLATED = 19
    END_ISOLATED = 20


class CannotObserve(Exception):  # not an error: the call runs elsewhere
    """Raised if the session cannot run a call for its observer."""


class InterceptedCall(NamedTuple):
    """A requested call; a creation if `kind` is None, with the init code in `data`. `gas` is the callee's limit.

    The code of `target` runs as `receiver`: in a delegate call, the caller. `depth` is that of the frame that requests
    it, 1 for the first.
    """

    kind: CallKind | None
    caller: EthAddress
    target: EthAddress
    receiver: EthAddress
    value: int
    data: bytes
    gas: int
    static: bool
    depth: int
    second: bool = False
    """True if the creation is CREATE2."""
    salt: bytes = b""
    """Salt of CREATE2, if known."""
    sender: EthAddress | None = None
    """Sender that the callee of a delegate call sees, instead of `caller`."""

    @property
    def transfer(self) -> int | None:
        """Value that mocks and expectations of calls compare: zero for a static call, None for a delegate call."""
        return None if self.kind is CallKind.DELEGATECALL else self.value


class Interest(NamedTuple):
    """Depth down to which all calls of frames stop, and the one down to which `call_end` sees ends; 0 for none."""

    calls: int
    ends: int
    at_once: bool
    """True if the whole call is kept or discarded at its end, if nothing stops before."""


class CallObserver(Protocol):
    """Sees calls of a session."""

    @property
    def watched(self) -> frozenset[EthAddress]:
        """Addresses whose calls stop."""

    @property
    def watch(self) -> int:
        """Modes of frames.

        - `RECORDS`: accesses to slots are recorded; `PAUSES`: they use no gas.
        - `ISOLATES`: the calls of the first frame that do not stop are transactions. In those and in those of
          `ObservedCall.isolate`, contracts see the gas price with `SHOWS_PRICE` and the base fee with `SHOWS_BASE_FEE`,
          and 0 otherwise.
        """

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


class ObservedEnd(NamedTuple):
    """A call's end: exit code, data, gas before refunds, refunds, logs of what succeeded, words of touched slots."""

    exit_code: int
    output: bytes
    gas_used: int
    refund: int
    logs: tuple[tuple[EthAddress, Log], ...]
    words: bytes
    """32 bytes for each touched slot, in the order of the first accesses."""
    is_changed: bool
    """True if it was kept at once, and has changed the state."""
    has_passed: bool
    """True if the check after the call has succeeded."""
    touched: list[EthAddress]
    """Accounts that must exist after the call: those that cheatcodes in the guest have named."""


class SessionCall(NamedTuple):
    """A call of a contract, without value."""

    sender: EthAddress
    to: EthAddress
    data: bytes
    gas: int


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
    _recorded = 0
    """Mode of a call whose record is read at its end, before it is kept or discarded; 0 for others."""
    _is_begun = False
    _is_renewed = False
    _is_isolated = False
    _watch = 0
    _gas_price = 0
    _blob_hashes: tuple[bytes, ...] = ()
    is_running = True
    """True until the call is kept or discarded."""
    _following: Sequence[SessionCall] = ()
    _keeps = False
    _ended = 0
    """Number of calls that ended before the running one."""

    def __init__(
        self, session: StateSession, guest: Guest, observer: CallObserver, sender: EthAddress, to: EthAddress
    ) -> None:
        self._session, self._guest, self._observer = session, guest, observer
        self.origin, self.to = sender, to
        self._operations: list[bytes] = []
        """Writes that the guest executes with the next message."""
        self._ends: list[ObservedEnd] = []
        self._reopened: list[InterceptedCall] = []
        """Calls that were passed on and whose ends stop."""
        self.touched: dict[EthAddress, None] = {}
        """Accounts that must exist after the call, in order: those touched by the observer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self.is_running:
            self._session.abandon(self._guest)
        if error is CannotObserve:
            self._session.note_replayed()
        if self._is_renewed or self._is_isolated:
            self._session.forget_block()

    def run(
        self, value: int, data: bytes, gas: int, keep: bool, check: bytes = NO_CHECK,
        following: Sequence[SessionCall] = (),
    ) -> list[ObservedEnd]:  # fmt: skip
        """Make the call and its following calls; return the ends of those made. Raises CannotObserve.

        A call that stops is the last one. So is one that is kept at once and has succeeded, unless its check succeeds.
        """
        session = self._session
        recorded = self._recorded = session.begin_record()
        self._watch = self._observer.watch
        mode = (KEEP if keep else 0) | self._watch | recorded
        if session.records_jumps:
            mode |= JUMPS
        if self._gas_price or self._blob_hashes:
            kind, price, hashes = BLOB if self._blob_hashes else DYNAMIC_FEE, self._gas_price, self._blob_hashes
            call = Transaction(kind, None, 0, self.to, value, data, gas, price, price, blob_hashes=hashes)
            message = session.priced_message(self.origin, call, mode)
        else:
            message = session.call_message(self.origin, self.to, value, data, gas, mode)
        if message is None:
            raise CannotObserve
        parts = [message, self._interest(), _watched_list(self._observer.watched), check]
        for each in following:
            message = session.call_message(each.sender, each.to, 0, each.data, each.gas, mode)
            if message is None:
                break
            parts += (_WORD.pack(len(message)), message)
        self._is_begun, self._keeps, self._following = True, keep, following
        try:
            self._go_on(self._call(Command.TRANSACT, b"".join(parts)))
        except CannotObserve:
            if not (self.is_running and self._guest.ended):
                raise
            self._observer.undo()
            self._begin_stopped()
            session.abandon(self._guest)
            self.is_running = False
            return self._ends
        self._take_ends(self._guest.output(), is_last=True)
        if recorded:
            try:
                record = session.read_record(self._guest)
            except GuestFailure as failure:
                raise self._failed(failure) from failure
            session.replay(*record, 0)
        return self._ends

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
            seen, at = read_logs(data, at)
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
                self._observer.log(emitter, log)
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
        self._session.close_after(failure)
        return CannotObserve()

    def _go_on(self, exit_code: int) -> SubcallOutcome | None:
        """Answer requests until the call that was entered last has ended, and return its outcome; None at the end."""
        guest, session = self._guest, self._session
        while exit_code != Exit.DONE:
            request = guest.output()
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
            elif exit_code == Exit.CALL_END:
                self._observer.call_end(self, *self._read_end(request))
                answer = self._message(Answer.PASS)
            else:
                try:
                    answer = session.answer(exit_code, request, self._recorded)
                except GuestFailure as failure:
                    raise self._failed(failure) from failure
            if answer is None:
                raise CannotObserve
            exit_code = self._call(Command.ANSWER, answer)
        return None

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
        return _INTEREST.pack(calls, ends, at_once and not self._recorded)

    def _message(self, answer: Answer, *parts: bytes) -> bytes:
        """Return an answer, which also executes what the observer has written."""
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
        watch = self._observer.watch
        if self._watch != watch:
            self._watch = watch
            self._write(Operation.WATCH, ZERO_ADDRESS, _WORD.pack(watch))
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
            self._observer.log(emitter, log)
        return at

    def enter(self, sender: EthAddress | None = None, code: EthAddress | None = None) -> SubcallOutcome:
        """Make the requested call, as another sender and with another contract's code, and return its outcome."""
        if self._depth >= MAX_ENTERED:
            raise CannotObserve
        if code is not None:
            self.code(code)
            self._write(Operation.SET_CALLEE, code)
        self._depth += 1
        flags = 0 if sender is None else _AS_SENDER
        outcome = self._go_on(self._call(Command.ANSWER, self._message(Answer.ENTER, _WORD.pack(flags), sender or b"")))
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

    def isolate(self, request: InterceptedCall, sender: EthAddress | None) -> tuple[SubcallOutcome, int, int] | None:
        """Make the requested call as a transaction; return its outcome, gas used and refund.

        Return None if its gas does not cover the intrinsic gas. Calls without the funds for their value are none.
        """
        who, fork, limit = sender or request.caller, self.fork, request.gas
        to = None if request.kind is None else request.target
        gas = min(limit + _ISOLATED_BASE, self._session.block_gas_limit)
        call = Transaction(DYNAMIC_FEE, None, 0, to, request.value, request.data, gas, 0, 0)
        intrinsic, floor = required_gas(call, fork, who)
        if request.value and self.balance(who) < request.value:
            return self.enter(sender), 0, 0
        if max(intrinsic, floor) > gas:
            return None
        self._operate(Operation.BEGIN_ISOLATED, who, (gas - intrinsic).to_bytes(8, "little"))
        self._is_isolated = True
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

    def _read_end(self, data: bytes) -> tuple[int, SubcallOutcome]:
        """Return the depth of the frame that has made a call, and the call's outcome."""
        at = self._take_logs(data, 0)
        depth, success, creates, created, size = _ENDED.unpack_from(data, at)
        at += _ENDED.size
        made = EthAddress(created) if creates else None
        return depth, SubcallOutcome(bool(success), data[at : at + size], made)

    # --- accounts, which become warm --------------------------------------------------------------------------

    def _operate(self, operation: int, address: EthAddress, values: bytes = b"") -> bytes:
        """Read an account, after what has been written."""
        self._write(operation, address, values)
        message = b"".join(self._operations)
        self._operations.clear()
        while exit_code := self._call(Command.OPERATE, message):
            answer = self._session.answer(exit_code, self._guest.output())
            if answer is None:
                raise CannotObserve
            self._call(Command.ANSWER, answer)
        return self._guest.output()

    def _write(self, operation: int, address: EthAddress, values: bytes = b"") -> None:
        """Execute an operation with the next message."""
        self._operations.append(_OPERATION.pack(operation, address) + values)

    def touch(self, address: EthAddress) -> None:
        """Load an account, which exists after the call."""
        self.touched[address] = None
        self._write(Operation.TOUCH, address)

    def slots(self, _: EthAddress) -> list[int]:
        """Raise CannotObserve: a session holds only the slots that were read."""
        raise CannotObserve

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

    def set_origin(self, origin: EthAddress) -> None:
        """Set the transaction's origin that contracts see."""
        self._write(Operation.SET_ORIGIN, origin)
        self.origin = origin

    def renew_block(self) -> None:
        """Let contracts see the machine's block, which has changed. Raises CannotObserve."""
        self._is_renewed = True
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

    def accesses(self) -> list[tuple[EthAddress, int, bool]]:
        """Return the accesses to slots since the last time: the account, the slot, and True for a write."""
        data = self._operate(Operation.ACCESSES, ZERO_ADDRESS)
        return [
            (EthAddress(account), int.from_bytes(slot, "big"), bool(written))
            for account, slot, written in _ACCESS.iter_unpack(data)
        ]

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
        try:
            is_changed = self._session.keep_call(self._guest)
        except GuestFailure as failure:
            raise self._failed(failure) from failure
        self.is_running = False
        return is_changed


@lru_cache(maxsize=16)
def _watched_list(addresses: frozenset[EthAddress]) -> bytes:
    return b"".join((_WORD.pack(len(addresses)), *addresses))


def observe(session: StateSession, observer: CallObserver, sender: EthAddress, to: EthAddress) -> ObservedCall | None:
    """Return a call of a contract, which is free and has no checks; None if the session cannot execute it."""
    guest = session.begin()
    return None if guest is None else ObservedCall(session, guest, observer, sender, to)
