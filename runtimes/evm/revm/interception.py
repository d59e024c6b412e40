"""Expectations, pranks, mocks and recordings of cheatcodes, which calls, their ends and logs meet.

The guest has them, and their rules (`guests/revm/src/cheats`). In a session it applies them itself. Calls whose frames
do not run there, such as those of actors, ask here. Between the calls of a test they are stored as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from runtimes.evm.contracts.engine import CallKind, SubcallOutcome
from runtimes.evm.revm.guest import Guest, list_message
from runtimes.evm.revm.observation import InterceptedCall
from runtimes.evm.revm.protocol import (
    CALL_OUTCOME,
    CALL_REQUEST,
    CHAIN_TIME,
    CHEAT_CONTEXT,
    CHEAT_STATUS,
    COUNT,
    GAS,
    SNAPSHOT_HEAD,
    SNAPSHOT_NUMBER,
    CallScheme,
    ChainTime,
    CheatRequest,
    CheatResult,
    CheatStatus,
    Command,
)

_SCHEMES: Final = {
    CallKind.CALL: CallScheme.CALL,
    CallKind.STATICCALL: CallScheme.STATICCALL,
    CallKind.DELEGATECALL: CallScheme.DELEGATECALL,
    CallKind.CALLCODE: CallScheme.CALLCODE,
}
_WORD: Final = 32
_IDLE: Final = CheatStatus(0, 0, 0, 0, 0)


class EmittedLog(NamedTuple):
    """A log with its emitter."""

    emitter: EthAddress
    log: Log


class FailureReason(NamedTuple):
    """Why a cheatcode or a call fails: a number of `Failure`, with its values."""

    kind: int
    numbers: list[int]
    addresses: list[EthAddress | None]
    texts: list[bytes | None]
    logs: list[EmittedLog]
    ends_again: bool = False
    """True if the call ends as another one that fails with the text would."""


class MockAnswer(NamedTuple):
    """The answer of a mocked call; the caller pays `value` for it."""

    number: int
    reverts: bool
    value: int
    output: bytes


class Decision(NamedTuple):
    """A decision on a call: another sender and origin, the contract whose code runs, or the answer of a mock."""

    sender: EthAddress | None = None
    origin: EthAddress | None = None
    code: EthAddress | None = None
    answer: MockAnswer | None = None


class Prank(NamedTuple):
    """A prank: calls from `caller` at `depth` are made as `sender`; nested ones see `origin` too, if it is set."""

    caller: EthAddress
    sender: EthAddress
    origin: EthAddress | None
    old_origin: EthAddress
    depth: int
    once: bool
    delegates: bool
    broadcasts: bool
    is_used: bool = False

    def encode(self) -> bytes:
        """Return its message."""
        origin = _FALSE if self.origin is None else _TRUE + self.origin
        flags = (self.once, self.delegates, self.broadcasts, self.is_used)
        numbers = b"".join(COUNT.pack_values(number) for number in (self.depth, *flags))
        return b"".join((self.caller, self.sender, origin, self.old_origin, numbers))


class Deal(NamedTuple):
    """A balance, or nonce, that a call has set."""

    account: EthAddress
    is_nonce: bool
    amount: int


class CheatContext(NamedTuple):
    """Context of a cheatcode: caller, origin, depth of the frame, whether the account it names has code."""

    caller: EthAddress
    origin: EthAddress
    depth: int
    has_code: bool | None

    def encode(self) -> bytes:
        """Return its message."""
        knows = self.has_code is not None
        return CHEAT_CONTEXT.pack_values(self.caller, self.origin, self.depth, knows, bool(self.has_code))


class Executed(NamedTuple):
    """The effects of a cheatcode: its output, the origin from now on, and an account that needs code."""

    output: bytes
    origin: EthAddress | None
    needs_code: EthAddress | None


Replacement = int | FailureReason | None
"""A replacement of a call's result: `CheatResult.CAUGHT` or `REJECTED`, or the reason of a failure."""

_TRUE: Final = COUNT.pack_values(1)
_FALSE: Final = COUNT.pack_values(0)


class MessageReader:
    """Reads the values of a message of cheatcodes in order."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def number(self) -> int:
        """Return a number of 32 bits."""
        (found,) = COUNT.unpack_from(self._data, self._at)
        self._at += COUNT.size
        return int(found)

    def long(self) -> int:
        """Return a number of 64 bits."""
        (found,) = GAS.unpack_from(self._data, self._at)
        self._at += GAS.size
        return int(found)

    def raw(self, size: int) -> bytes:
        """Return this number of bytes."""
        begin, self._at = self._at, self._at + size
        return self._data[begin : self._at]

    def rest(self) -> bytes:
        """Return the bytes that are left."""
        return self._data[self._at :]

    def data(self) -> bytes:
        """Return bytes that have a size."""
        return self.raw(self.number())

    def word(self) -> int:
        """Return a word."""
        return int.from_bytes(self.raw(_WORD), "big")

    def address(self) -> EthAddress:
        """Return an address."""
        return EthAddress(self.raw(20))

    def given_address(self) -> EthAddress | None:
        """Return an address if there is one."""
        return self.address() if self.number() else None

    def log(self) -> EmittedLog:
        """Return a log."""
        emitter = self.address()
        topics = tuple([self.raw(_WORD) for _ in range(self.number())])
        return EmittedLog(emitter, Log(topics, self.data()))

    def reason(self) -> FailureReason:
        """Return the reason of a failure."""
        kind, numbers = self.number(), [self.long() for _ in range(self.number())]
        addresses = [self.given_address() for _ in range(self.number())]
        texts = [self.data() if self.number() else None for _ in range(self.number())]
        return FailureReason(kind, numbers, addresses, texts, [self.log() for _ in range(self.number())])

    def decision(self) -> Decision:
        """Return the decision on a call."""
        sender, origin, code = self.given_address(), self.given_address(), self.given_address()
        answer = None
        if self.number():
            answer = MockAnswer(self.number(), bool(self.number()), self.word(), self.data())
        return Decision(sender, origin, code, answer)

    def replacement(self) -> Replacement:
        """Return what a caller gets instead of a result, if anything."""
        result = self.number()
        if result == CheatResult.SAME:
            return None
        if result in (CheatResult.FAILED, CheatResult.FAILS):
            return self.reason()._replace(ends_again=result == CheatResult.FAILS)
        return result

    def prank(self) -> Prank:
        """Return a prank."""
        accounts = self.address(), self.address(), self.given_address(), self.address()
        depth, *flags = (self.number() for _ in range(5))
        return Prank(*accounts, depth, *map(bool, flags))

    def deal(self) -> Deal:
        """Return a balance or nonce that was set."""
        found = Deal(self.address(), bool(self.number()), self.word())
        self.number()
        return found


class SavedCheats(bytes):
    """Settings of cheatcodes, as the guest writes them, with the snapshots that they name by numbers of copies."""

    snapshots: Mapping[int, Any] = MappingProxyType({})


class Interception:
    """Expectations, pranks, mocks and recordings of a test."""

    is_internal = False
    """True if an expected revert may be that of the expecting frame itself (`allow_internal_expect_revert`)."""

    def __init__(self) -> None:
        self._bytes: bytes | None = b""
        """Settings of cheatcodes; None if the guest has newer ones."""
        self._snapshots: dict[int, Any] = {}
        """Snapshots that may be named, by the numbers of their copies, in a call also of deleted ones."""
        self._guest: Guest | None = None
        self._status: CheatStatus | None = _IDLE

    # --- where it is stored ---------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return what is set, for `restore`; empty for nothing."""
        if self._bytes is None:
            guest = self._require_guest()
            guest.call(Command.CHEATS, COUNT.pack_values(CheatRequest.SAVE))
            self._bytes = self._saved(guest.output())
            guest.cheats = self._head + self._bytes
        return self._bytes

    def restore(self, saved: bytes) -> None:
        """Set exactly what was set when `saved` was."""
        if self._bytes != saved:
            self._bytes = saved
            self._status = None if saved else _IDLE
        self._snapshots = dict(saved.snapshots) if isinstance(saved, SavedCheats) else {}

    def load(self, guest: Guest) -> None:
        """Let a guest have what is set, and change it, until `leave`."""
        self.save()
        self._guest = guest
        assert self._bytes is not None
        content = self._head + self._bytes
        if guest.cheats != content:
            self._request(guest, CheatRequest.LOAD, content)
        guest.cheats = None

    def _saved(self, content: bytes) -> SavedCheats:
        """Return what is set with its snapshots."""
        saved = SavedCheats(content)
        saved.snapshots = {copy: self._snapshots[copy] for copy in _copies(content).values()}
        return saved

    def before(self, guest: Guest) -> tuple[SavedCheats, ChainTime]:
        """Return what was set, and the chain's time, before the call that the guest runs or has run last."""
        guest.call(Command.CHEATS, COUNT.pack_values(CheatRequest.BEFORE))
        found = guest.output()
        return self._saved(found[CHAIN_TIME.size :]), CHAIN_TIME.read(found)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Have nothing set inside the context, for calls that the test has not made."""
        saved = self.save()
        self._put(b"")
        try:
            yield
        finally:
            self._put(saved)

    def _put(self, saved: bytes) -> None:
        self._request(self._require_guest(), CheatRequest.LOAD, self._head + saved)
        self.note_changes()

    def leave(self, has_changed: bool) -> None:
        """Store what is set, which calls may have changed, without the guest, which may end."""
        if self._guest is not None and not has_changed and self._bytes is not None:
            self._guest.cheats = self._head + self._bytes
        elif self._guest is not None:
            self.note_changes()
            saved = self.save()
            self._snapshots = dict(saved.snapshots) if isinstance(saved, SavedCheats) else {}
        self._guest = None

    def note_changes(self) -> None:
        """Note that the guest may have changed what is set."""
        self._bytes = None
        self._require_guest().cheats = None

    @property
    def _head(self) -> bytes:
        return _TRUE if self.is_internal else _FALSE

    def _require_guest(self) -> Guest:
        if self._guest is None:
            self._guest = Guest()
        return self._guest

    def _use(self) -> Guest:
        guest = self._require_guest()
        if self._bytes is not None:
            self.load(guest)
        return guest

    def _request(self, guest: Guest, request: int, message: bytes) -> MessageReader:
        guest.call(Command.CHEATS, COUNT.pack_values(request) + message)
        output = guest.output()
        self._status = CHEAT_STATUS.read(output, len(output) - CHEAT_STATUS.size)
        return MessageReader(output)

    def _ask(self, request: int, message: bytes = b"") -> MessageReader:
        found = self._request(self._use(), request, message)
        self.note_changes()
        return found

    # --- what is set ----------------------------------------------------------------------------------------------

    @property
    def is_set(self) -> bool:
        """True if anything may be set."""
        return self._bytes != b""

    @property
    def status(self) -> CheatStatus:
        """Facts of what is set; those before it in a call that runs in the guest (`refresh`)."""
        return self.refresh() if self._status is None else self._status

    def refresh(self) -> CheatStatus:
        """Return facts of what is set."""
        if self.is_set:
            self._request(self._use(), CheatRequest.STATUS, b"")
        return self._status or _IDLE

    def pranks(self) -> list[Prank]:
        """Return the pranks by their depths."""
        if not self.is_set:
            return []
        found = self._request(self._use(), CheatRequest.PRANKS, b"")
        return [found.prank() for _ in range(found.number())]

    # --- snapshots ------------------------------------------------------------------------------------------------

    @property
    def has_snapshots(self) -> bool:
        """True if a snapshot may be restored."""
        return bool(self._snapshots)

    def snapshot_taken(self, copy: int, snapshot: Any) -> None:
        """Take a snapshot, which what is set may name by the number of its copy."""
        self._snapshots[copy] = snapshot

    def add_snapshot(self, copy: int, snapshot: Any) -> int:
        """Take a snapshot that Python has taken; return the test's number of it."""
        self.snapshot_taken(copy, snapshot)
        return self._ask(CheatRequest.ADD_SNAPSHOT, COUNT.pack_values(copy)).long()

    def snapshot(self, number: int) -> Any:
        """Return a snapshot by its number; None if there is none."""
        return self._snapshots.get(_copies(self.save()).get(number, 0))

    # --- cheatcodes -----------------------------------------------------------------------------------------------

    def execute(self, context: CheatContext, data: bytes) -> Executed | FailureReason | None:
        """Execute a cheatcode; None if it is another one, or its arguments are malformed."""
        return self._executed(self._ask(CheatRequest.EXECUTE, context.encode() + data))

    def begin_prank(self, prank: Prank, context: CheatContext) -> Executed | FailureReason | None:
        """Begin a prank or a broadcast for calls of the caller."""
        return self._executed(self._ask(CheatRequest.BEGIN_PRANK, prank.encode() + context.encode()))

    def _executed(self, found: MessageReader) -> Executed | FailureReason | None:
        result = found.number()
        if result == CheatResult.UNKNOWN:
            return None
        if result == CheatResult.FAILED:
            return found.reason()
        origin, needs_code = found.given_address(), found.given_address()
        return Executed(found.data(), origin, needs_code)

    def cheatcode_ended(self, depth: int, expected: bool, outcome: SubcallOutcome) -> Replacement:
        """Return what the caller gets; `expected` is true if a revert was expected before the cheatcode."""
        message = COUNT.pack_values(depth) + COUNT.pack_values(expected) + _ended(outcome.success, outcome.output)
        return self._ask(CheatRequest.CHEATCODE_END, message).replacement()

    def note_deal(self, account: EthAddress, is_nonce: bool, amount: int, depth: int) -> None:
        """Keep a balance or nonce that was set below the test's own frame, also if a call fails."""
        numbers = COUNT.pack_values(is_nonce) + amount.to_bytes(_WORD, "big") + COUNT.pack_values(depth)
        self._ask(CheatRequest.DEAL, account + numbers)

    # --- calls ----------------------------------------------------------------------------------------------------

    def call_begins(self, request: InterceptedCall) -> Decision:
        """Return what is done with a call."""
        return self._ask(CheatRequest.CALL, _call(request) + request.data).decision()

    def mock_answered(self, callee: EthAddress, answer: MockAnswer) -> None:
        """Note that a mock has answered a call."""
        self._ask(CheatRequest.ANSWERED, callee + COUNT.pack_values(answer.number))

    def created(self, deployer: EthAddress, second: bool, code: bytes) -> None:
        """Note a created contract."""
        self._ask(CheatRequest.CREATED, deployer + COUNT.pack_values(second) + code)

    def call_ends(
        self, request: InterceptedCall, outcome: SubcallOutcome, reason: bytes
    ) -> tuple[Replacement, EthAddress | None, list[Deal]]:
        """Return what the caller gets, the origin from now on, and the balances and nonces to be set again.

        `reason` is the call's data, or the name of a halt.
        """
        message = _call(request) + _ended(outcome.success, outcome.output, reason)
        found = self._ask(CheatRequest.CALL_END, message)
        origin = found.given_address()
        deals = [found.deal() for _ in range(found.number())]
        return found.replacement(), origin, deals

    def accept(self) -> None:
        """Take the last end as the expected revert: its reason has the same text."""
        self._ask(CheatRequest.ACCEPT)

    def logged(self, emitter: EthAddress, log: Log) -> None:
        """Take a log, also one of a frame that may fail."""
        self._ask(CheatRequest.LOG, emitter + list_message(log.topics) + log.data)

    def test_ends(self, outcome: SubcallOutcome, reason: bytes) -> Replacement:
        """Return what the test's call has as its result, if an expectation is not met."""
        return self._ask(CheatRequest.TEST_END, _ended(outcome.success, outcome.output, reason)).replacement()


def _copies(saved: bytes) -> dict[int, int]:
    """Return the copies of snapshots by their numbers, which are at the beginning of what is set."""
    count = SNAPSHOT_HEAD.read(saved).count if saved else 0
    return {each.number: each.copy for each in SNAPSHOT_NUMBER.read_all(saved, SNAPSHOT_HEAD.size, count)}


def _call(request: InterceptedCall) -> bytes:
    kind = request.kind
    creation = CallScheme.CREATE2 if request.second else CallScheme.CREATE
    return CALL_REQUEST.pack_values(
        request.depth, creation if kind is None else _SCHEMES[kind], request.static, min(request.gas, (1 << 64) - 1),
        request.caller, request.sender or request.caller, request.target, request.receiver,
        request.value.to_bytes(_WORD, "big"), request.salt.rjust(_WORD, b"\0"), len(request.data),
    )  # fmt: skip


def _ended(success: bool, output: bytes, reason: bytes | None = None) -> bytes:
    reason = output if reason is None else reason
    return CALL_OUTCOME.pack_values(success, len(output), len(reason)) + output + reason
