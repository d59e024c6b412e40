"""Calls in a session that stop for an observer, such as the cheatcodes of Solidity tests.

The observer sees calls of the addresses that it watches, and calls by frames at the depths that it asks for. It answers
each with a result, or enters it and sees its end. Meanwhile it reads and writes accounts; like the frame's own changes,
its writes are undone if the frame that made the call fails. Its logs are all logs, also those of frames that fail.

The call's changes are kept only by `ObservedCall.keep`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple, Protocol, Self

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.receipts import Log
from runtimes.evm.engine import CallKind, SubcallOutcome
from runtimes.evm.ethereum.forks import Fork
from runtimes.evm.ethereum.guest import AT_ONCE, KEEP, STATUS, Command, Exit, Guest, GuestFailure, read_end, read_logs
from runtimes.evm.ethereum.session import StateSession

ALL_DEPTHS: Final = (1 << 32) - 1
MAX_ENTERED: Final = 64
"""Number of calls that an observer may have entered at once: each takes some frames of Python's stack."""
_KINDS: Final = (CallKind.CALL, CallKind.STATICCALL, CallKind.DELEGATECALL, CallKind.CALLCODE, None, None)
_CREATE2: Final = 5
_CALL: Final = Struct("<IIIQ20s20s20s32s32sI")
_ENDED: Final = Struct("<III20sI")
_INTEREST: Final = Struct("<II")
_WORD: Final = Struct("<I")
_OPERATION: Final = Struct("<I20s")
_TOUCHED: Final = Struct("<QI")
_NOTHING: Final = bytes(8)
_NO_LOGS: Final = bytes(4)
_CHANGED: Final = 2


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


class CannotObserve(Exception):  # not an error: the call runs elsewhere
    """Raised if the session cannot run a call for its observer."""


class LongCall(CannotObserve):
    """Raised for a call that is worth compiling."""


@dataclass(frozen=True, slots=True)
class InterceptedCall:
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


class CallObserver(Protocol):
    """Sees calls of a session."""

    @property
    def watched(self) -> frozenset[EthAddress]:
        """Addresses whose calls stop."""

    def interest(self) -> tuple[int, int]:
        """Return the depth down to which all calls of frames stop, and the one down to which `call_end` sees ends.

        0 is for none.
        """

    def call(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        """Return a call's outcome, of `ObservedCall.enter` or another one. Raises CannotObserve."""

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


class ObservedCall:
    """A call in a session, from its start until it is kept or abandoned."""

    def __init__(
        self, session: StateSession, guest: Guest, observer: CallObserver, sender: EthAddress, to: EthAddress
    ) -> None:
        self._session, self._guest, self._observer = session, guest, observer
        self.origin, self.to = sender, to
        self._entered: SubcallOutcome | None = None
        """The outcome of the call that was entered last."""
        self._depth = 0
        self._is_running, self._is_renewed, self.is_changed = True, False, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_running:
            self._session.abandon(self._guest)
        if self._is_renewed:
            self._session.forget_block()

    def run(self, value: int, data: bytes, gas: int, keep: bool) -> ObservedEnd:
        """Make the call. Raises CannotObserve.

        If it does not stop for its observer, who has not asked for any call, it is kept or discarded at its end.
        """
        interest, watched = self._interest(), self._observer.watched
        mode = (AT_ONCE if interest == _NOTHING else 0) | (KEEP if keep else 0)
        call = Transaction(DYNAMIC_FEE, None, 0, self.to, value, data, gas, 0, 0)
        message = self._session.call_message(self.origin, call, mode)
        if message is None:
            raise CannotObserve
        message = b"".join((message, interest, _WORD.pack(len(watched)), *watched))
        written = self._until(Exit.DONE, self._call(Command.TRANSACT, message))
        ended, at = read_end(written)
        refund, count = _TOUCHED.unpack_from(written, at)
        at += _TOUCHED.size
        words, at = written[at : at + 32 * count], at + 32 * count
        (is_kept,) = _WORD.unpack_from(written, len(written) - _WORD.size)
        if is_kept:
            self._is_running, self.is_changed = False, is_kept == _CHANGED
            if keep:
                self._session.note_kept()
        self._take_logs(written, at)
        return ObservedEnd(STATUS[ended.end], ended.output, ended.gas_used, refund, ended.logs, words)

    def _call(self, command: Command, data: bytes) -> int:
        try:
            return self._guest.call(command, data)
        except GuestFailure as failure:  # it lacks memory, or has a defect
            self._is_running = False
            self._session.close_after(failure)
            raise CannotObserve from failure

    def _until(self, end: Exit, exit_code: int) -> bytes:
        guest, session = self._guest, self._session
        while exit_code != end:
            if exit_code == Exit.CALL:
                answer: bytes | None = self._answer_call(guest.output())
            elif exit_code == Exit.CALL_END:
                self._observer.call_end(self, *self._read_end(guest.output()))
                answer = _WORD.pack(Answer.PASS) + self._interest()
            else:
                answer = session.answer(exit_code, guest.output(), self.to)
            if answer is None:
                raise LongCall if exit_code == Exit.PAUSE else CannotObserve
            exit_code = self._call(Command.ANSWER, answer)
        return guest.output()

    def _interest(self) -> bytes:
        """Return what the observer wants to see from now on."""
        return _INTEREST.pack(*self._observer.interest())

    def _answer_call(self, data: bytes) -> bytes:
        at = self._take_logs(data, 0)
        depth, kind, static, gas, caller, target, receiver, value, salt, size = _CALL.unpack_from(data, at)
        at += _CALL.size
        delegates, second = _KINDS[kind] is CallKind.DELEGATECALL, kind == _CREATE2
        request = InterceptedCall(
            _KINDS[kind], EthAddress(receiver if delegates else caller), EthAddress(target), EthAddress(receiver),
            int.from_bytes(value, "big"), data[at : at + size], gas, bool(static), depth, second,
            salt if second else b"", EthAddress(caller) if delegates else None,
        )  # fmt: skip
        outcome = self._observer.call(self, request)
        interest = self._interest()
        if outcome is self._entered:
            return _WORD.pack(Answer.PASS) + interest
        created = b"" if outcome.created is None else outcome.created
        parts = (
            _WORD.pack(Answer.RESULT), interest, _WORD.pack(outcome.success), _WORD.pack(bool(created)), created,
            _WORD.pack(len(outcome.output)), outcome.output,
        )  # fmt: skip
        return b"".join(parts)

    def _take_logs(self, data: bytes, at: int) -> int:
        """Give the observer the logs at a position of a message; return the position after them."""
        if data[at : at + _WORD.size] == _NO_LOGS:
            return at + _WORD.size
        logs, at = read_logs(data, at)
        for emitter, log in logs:
            self._observer.log(emitter, log)
        return at

    def enter(self, sender: EthAddress | None = None) -> SubcallOutcome:
        """Make the requested call, as another sender if one is given, and return its outcome."""
        if self._depth >= MAX_ENTERED:
            raise CannotObserve
        self._depth += 1
        parts = _WORD.pack(Answer.ENTER), self._interest(), _WORD.pack(sender is not None), sender or b""
        data = self._until(Exit.ENDED, self._call(Command.ANSWER, b"".join(parts)))
        self._depth -= 1
        self._entered = self._read_end(data)[1]
        return self._entered

    def _read_end(self, data: bytes) -> tuple[int, SubcallOutcome]:
        """Return the depth of the frame that has made a call, and the call's outcome."""
        at = self._take_logs(data, 0)
        depth, success, creates, created, size = _ENDED.unpack_from(data, at)
        at += _ENDED.size
        made = EthAddress(created) if creates else None
        return depth, SubcallOutcome(bool(success), data[at : at + size], made)

    # --- accounts, which become warm --------------------------------------------------------------------------

    def _operate(self, operation: int, address: EthAddress, values: bytes = b"") -> bytes:
        message = _OPERATION.pack(operation, address) + values
        while exit_code := self._call(Command.OPERATE, message):
            answer = self._session.answer(exit_code, self._guest.output())
            if answer is None:
                raise CannotObserve
            self._call(Command.ANSWER, answer)
        return self._guest.output()

    def balance(self, address: EthAddress) -> int:
        return int.from_bytes(self._operate(Operation.ACCOUNT, address)[:32], "big")

    def nonce(self, address: EthAddress) -> int:
        return int.from_bytes(self._operate(Operation.ACCOUNT, address)[32:], "little")

    def code(self, address: EthAddress) -> bytes:
        return self._operate(Operation.CODE, address)

    def set_balance(self, address: EthAddress, amount: int) -> None:
        self._operate(Operation.SET_BALANCE, address, amount.to_bytes(32, "big"))

    def set_nonce(self, address: EthAddress, nonce: int) -> None:
        self._operate(Operation.SET_NONCE, address, nonce.to_bytes(8, "little"))

    def set_code(self, address: EthAddress, code: bytes) -> None:
        self._operate(Operation.SET_CODE, address, _WORD.pack(len(code)) + code)

    def load(self, address: EthAddress, slot: int) -> int:
        return int.from_bytes(self._operate(Operation.LOAD, address, slot.to_bytes(32, "big")), "big")

    def store(self, address: EthAddress, slot: int, word: int) -> None:
        self._operate(Operation.STORE, address, slot.to_bytes(32, "big") + word.to_bytes(32, "big"))

    def set_origin(self, origin: EthAddress) -> None:
        """Set the transaction's origin that contracts see."""
        self._operate(Operation.SET_ORIGIN, origin)
        self.origin = origin

    def renew_block(self) -> None:
        """Let contracts see the machine's block, which has changed. Raises CannotObserve."""
        self._is_renewed = True
        if not self._session.renew_block(self._guest):
            raise CannotObserve

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
        """Keep the changes of the call, which has ended; return True if there are any."""
        if self._is_running:
            self.is_changed = self._session.keep_call(self._guest)
            self._is_running = False
        return self.is_changed


def observe(session: StateSession, observer: CallObserver, sender: EthAddress, to: EthAddress) -> ObservedCall | None:
    """Return a call of a contract, which is free and has no checks; None if the session cannot execute it."""
    guest = session.begin_call(to)
    return None if guest is None else ObservedCall(session, guest, observer, sender, to)
