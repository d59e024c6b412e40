"""Calls in a session that stop for an observer, such as the cheatcodes of Solidity tests.

The observer sees calls of the addresses that it watches, and calls by frames at the depths that it asks for. It answers
each with a result, or enters it and sees its end. Meanwhile it reads and writes accounts; like the frame's own changes,
its writes are undone if the frame that made the call fails. Its logs are all logs, also those of frames that fail.

The call's changes are kept only by `ObservedCall.keep`, or at its end if the observer need not see that. Then other
calls of a campaign may follow it in the guest, up to one that leaves something to do in Python, or whose check fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Final, Protocol, Self

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, create2_address, create_address
from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE, AccessList, Transaction
from bridge.filecoin.receipts import Log
from hypervisor.kernel.call import Call, CallResult
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.threads import needs_fresh_stack
from hypervisor.types import MAX_BALANCE
from runtimes.evm.contracts.engine import CallKind, Status, SubcallOutcome
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import required_gas
from runtimes.evm.revm.accounts import delegated_address
from runtimes.evm.revm.campaign import Campaign
from runtimes.evm.revm.exchanges import Exchanges
from runtimes.evm.revm.frames import reverting
from runtimes.evm.revm.guest import (
    KINDS,
    STATUS,
    Guest,
    GuestFailure,
    call_message,
    data_message,
    list_message,
    read_addresses,
    read_logs,
    transaction_message,
)
from runtimes.evm.revm.held import Snapshot
from runtimes.evm.revm.interception import Decision, FailureReason, Interception, MessageReader
from runtimes.evm.revm.native import KERNEL, NativeCalls
from runtimes.evm.revm.observation import CannotObserve, InterceptedCall, ObservedEnd
from runtimes.evm.revm.operations import Operations
from runtimes.evm.revm.protocol import (
    BLOCK_TIME,
    BORDER_ANSWER,
    CALL_END,
    CALL_REQUEST,
    CALL_RESULT,
    CHECK,
    CONTRACT_CALL,
    COUNT,
    CREATION,
    ENTER,
    FOLLOWING,
    GAS,
    INTEREST,
    ISOLATED_BASE,
    ISOLATED_CHARGES,
    ISOLATED_GAS,
    NO_LIMIT,
    OPERATION_HEAD,
    RANDOM_REQUEST,
    RESULT,
    SAME_LOGS,
    Answer,
    CallScheme,
    Command,
    EndEvent,
    EnterFlag,
    Exit,
    Interest,
    Mode,
    Operation,
    SnapshotTime,
)
from runtimes.evm.revm.session import StateSession, fits

_PRICE_BITS: Final = 128
_NO_LOGS: Final = list_message(())
_SAME_LOGS: Final = COUNT.pack(SAME_LOGS)
NO_CHECK: Final = CHECK.pack(always=False, size=0)


_SUPPLIED: Final = frozenset((
    Exit.DONE, Exit.ACCOUNT, Exit.SLOT, Exit.CODE, Exit.BLOCK_HASH, Exit.PRECOMPILE, Exit.PAUSE,
))  # fmt: skip
"""Exits that concern only the session."""


class CallObserver(Protocol):
    """Sees calls of a session."""

    @property
    def watched(self) -> frozenset[EthAddress]:
        """Addresses whose calls stop."""

    @property
    def watch(self) -> int:
        """The `Mode`s of frames from `SLOT_ACCESSES` to `SHOWS_BASE_FEE`.

        `SHOWS_PRICE` and `SHOWS_BASE_FEE` also hold for the calls of `ObservedCall.isolate`.
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

    @property
    def interception(self) -> Interception:
        """Expectations, pranks, mocks and recordings of cheatcodes."""

    def interest(self) -> Interest:
        """Return what the observer wants to see from now on.

        `calls` is the depth down to which all calls of frames stop, `ends` the one down to which `call_end` sees ends;
        0 for none. With `at_once`, the whole call is kept or discarded at its end, if nothing stops before.
        """

    def begin_call(self, to: EthAddress, kept: bool, saved: bytes) -> None:
        """Begin a following call: one that stops, has logs, or is the last one.

        Those before it were kept, or discarded. `saved` is what cheatcodes had set when it began.
        """

    def undo(self) -> None:
        """Undo what the observer has done in the call that has stopped."""

    def call(self, run: ObservedCall, request: InterceptedCall, decision: Decision) -> SubcallOutcome:
        """Return a call's outcome, of `ObservedCall.enter` or another one. Raises CannotObserve."""

    def intercept(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        """Return the outcome of a creation by `ObservedCall.create`, of `ObservedCall.enter` or another one."""

    def failed(self, run: ObservedCall, cheatcode: bytes, reason: FailureReason) -> SubcallOutcome:
        """Return what the caller gets of a cheatcode, by its selector, or of a call that fails for a reason."""

    def snapshot_taken(self, taken: Snapshot, time: SnapshotTime) -> None:
        """Take a snapshot that a cheatcode has taken in the guest, with the block's number and time."""

    def call_end(self, run: ObservedCall, depth: int, outcome: SubcallOutcome) -> None:
        """Take the end of a call by a frame at `depth` that was not entered."""

    def log(self, emitter: EthAddress, log: Log) -> None:
        """Take a log; its frame may still fail."""

    def event(self, emitter: EthAddress, log: Log) -> None:
        """Take the event of an actor, which may still fail."""


class CallState(Enum):
    """States of an observed call, in their order."""

    NEW = auto()
    """It has not begun; prices may be set."""
    RUNNING = auto()
    """The guest runs it, or it waits for its observer, which reads and writes accounts."""
    ENDED = auto()
    """It has ended; its changes are neither kept nor discarded, and can be read."""
    CLOSED = auto()
    """It was kept or discarded, or it has failed."""


class ObservedCall(Operations):
    """A call in a session, and those that follow it, from the start until the last one is kept or abandoned."""

    _entered: SubcallOutcome | None = None
    """The outcome of the call that was entered last."""
    _depth = 0
    """Number of entered calls whose ends stop."""
    _has_stopped = _is_interrupted = _is_renewed = _is_isolated = _is_exchanging = False
    _next_warmth: bytes | None = None
    _mode = 0
    """Modes of the call."""
    _watch = _first_watch = 0
    _random: frozenset[EthAddress] = frozenset()
    _hooked: frozenset[EthAddress] = frozenset()
    _gas_price = 0
    _blob_hashes: tuple[bytes, ...] = ()
    _campaign: Campaign | None = None
    _ended = _kept = 0
    """Numbers of calls that ended before the running one, and of those that were kept."""
    _native: NativeCalls | None = None
    """The kernel's part of the call, if it takes part."""

    def __init__(
        self, session: StateSession, guest: Guest, observer: CallObserver, sender: EthAddress, to: EthAddress,
        kernel: bool = False,
    ) -> None:  # fmt: skip
        """With `kernel`, the call may call native actors."""
        super().__init__(session.requests)
        self._session, self._guest, self._observer, self._has_kernel = session, guest, observer, kernel
        self.state = CallState.NEW
        self.origin, self.to = sender, to
        self._end: ObservedEnd | None = None
        self._exchanges = Exchanges(session.held, session.machine.state_tree)
        self._times = guest.times
        self.touched: dict[EthAddress, None] = {}
        """Accounts that must exist after the call, in order: those touched by the observer."""
        self.touched_before: dict[EthAddress, None] = {}
        """Those that must exist after the calls before it."""
        self.has_cheated = False
        """True if cheatcodes have set other things than before one of the calls."""
        self.created: set[EthAddress] = set()
        """Contracts that the call had created at its last exchange of the state."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._observer.interception.leave(self.has_cheated or self._has_stopped)
        if self.is_running:
            self._session.held.abandon(self._guest)
        self._exchanges.undo_all()
        if self._has_kernel:
            self._session.end_kernel()
        else:
            self._requests.end()
        if self._is_renewed or self._is_isolated:
            self._session.forget_block()

    @property
    def is_running(self) -> bool:
        """True until the call is kept or discarded."""
        return self.state is not CallState.CLOSED

    def run(
        self, value: int, data: bytes, gas: int, keep: bool, check: bytes = NO_CHECK, nonce: int | None = None,
        campaign: Campaign | None = None, campaign_gas: int = 0, gas_limit: int = 0,
    ) -> ObservedEnd | None:  # fmt: skip
        """Make the call, and return its end. Raises CannotObserve.

        With `nonce`, the sender gets this nonce, and the call creates its contract.

        If it is the next call of a campaign that may use `campaign_gas`, the campaign takes the outcome, unless Python
        must judge it. As long as its gas is not used, and the check succeeds, its next calls follow. Then the end is
        that of the last one; None if that is to be made again. `gas_limit` limits each, with its intrinsic gas.
        """
        session, observer = self._session, self._observer
        jumps = Mode.RECORD_JUMPS if session.records_jumps else 0
        self._mode = session.begin_run(self._guest, Mode.CALL | Mode.UNDOABLE | (Mode.KEEP if keep else 0) | jumps)
        self._mode |= Mode.HAS_KERNEL if self._has_kernel else 0
        self._watch = self._first_watch = observer.watch
        self._random, self._hooked = observer.random, self._hooks()
        self._requests.on_stop = self._stopped
        self._requests.answers |= {
            Exit.CALL: self._answer_call,
            Exit.CALL_END: self._answer_end,
            Exit.FAILED: self._answer_failed,
            Exit.ACCESSED: self._answer_access,
            Exit.RANDOM: self._draw,
            Exit.LEAVE: self._leave,
        }
        message = self._first_message(value, data, gas, nonce)
        addresses = map(_address_list, (observer.watched, self._random, self._hooked))
        following = FOLLOWING.pack_values(campaign_gas, gas_limit)
        parts = [message, self._interest(), *addresses, check, following]
        self.state, self._campaign = CallState.RUNNING, campaign
        session.held.snapshots.forget_unused(self._guest)
        observer.interception.load(self._guest)
        try:
            self._drive(lambda: self._on_stack(b"".join(parts)))
        except CannotObserve:
            if not (self.is_running and self._guest.ended):
                raise
            self._begin_stopped()
            observer.interception.leave(has_changed=True)
            observer.undo()
            session.held.abandon(self._guest)
            self.state = CallState.CLOSED
            return None
        self.state = CallState.ENDED
        self._take_ends(self._last, is_last=True)
        if self._mode & Mode.RECORD:
            record = self._drive(lambda: session.recording.take(self._guest))
            session.recording.replay.run(*record)
        return self._end

    def _first_message(self, value: int, data: bytes, gas: int, nonce: int | None) -> bytes:
        """Return the message of the first call, or creation with `nonce`. Raises CannotObserve."""
        if not (self._has_kernel or nonce is not None or self._gas_price or self._blob_hashes):
            message = self._message_of(self.origin, self.to, value, data, gas)
            if message is None:
                raise CannotObserve
            return message
        kind, price, hashes = BLOB if self._blob_hashes else DYNAMIC_FEE, self._gas_price, self._blob_hashes
        to, mode = (self.to, self._modes) if nonce is None else (None, self._modes | Mode.NONCE)
        call = Transaction(kind, None, nonce or 0, to, value, data, gas, price, price, blob_hashes=hashes)
        if self._has_kernel:
            self._exchanges.begin_kernel()
            self._native = self._session.begin_kernel(call, self.origin, call.max_fee)
            self._native.on_log = self._observer.event
        if not fits(call):
            raise CannotObserve
        return transaction_message(call, self.origin, mode, NO_LIMIT, self.chain_id)

    def _message_of(self, sender: EthAddress, to: EthAddress, value: int, data: bytes, gas: int) -> bytes | None:
        """Return the message that starts a free call without checks; None if it cannot have these values."""
        if not (0 <= value <= MAX_BALANCE and 0 < gas < 1 << 64):
            return None
        return call_message(sender, to, value, data, gas, self._modes, NO_LIMIT)

    @property
    def _modes(self) -> int:
        return self._mode | self._watch

    def _on_stack(self, message: bytes) -> None:
        """Run the call, with the kernel on a stack of its own."""

        def run() -> None:
            self._last = self._requests.go_on(self._guest.call(Command.TRANSACT, message), Exit.DONE)

        run() if self._native is None else self._native.on_fresh_stack(run)

    def _take_ends(self, data: bytes, is_last: bool) -> None:
        """Read the ends of calls that are needed; take note of those that were kept, and give the observer the logs.

        With `is_last`, the last one is that of the call that has ended last.
        """
        at, events, ends = 0, 0, []
        while at < len(data):
            events, result, used, charged, size = CALL_RESULT.read(data, at)
            at += CALL_RESULT.size
            output, at = data[at : at + size], at + size
            words_at = at + COUNT.size
            at = words_at + 32 * COUNT.read(data, at).count
            words = data[words_at:at]
            logs, at = read_logs(data, at)
            same = data[at : at + COUNT.size] == _SAME_LOGS
            seen, at = (logs, at + COUNT.size) if same else read_logs(data, at)
            if self._native is not None:
                logs = self._native.logs(logs)
            touched: list[EthAddress] = []
            if events & EndEvent.TOUCHED:
                touched, at = read_addresses(data, at)
            changed = events & EndEvent.CHANGED != 0
            counted, holds = events & EndEvent.COUNTED != 0, events & EndEvent.HOLDS != 0
            end = ObservedEnd(STATUS[result], output, used, charged, logs, words, changed, touched, counted, holds)
            ends.append((end, seen))
            self.has_cheated |= events & EndEvent.CHEATED != 0
        if self.has_cheated:
            self._observer.interception.note_changes()
        number = self._guest.ended
        has_closed = is_last and events & EndEvent.ENDED != 0
        if has_closed:
            self.state = CallState.CLOSED
        if self._mode & Mode.KEEP:
            self._session.held.note_kept(number + has_closed - self._kept)
            self._kept = number + has_closed
        last = ends.pop() if is_last else None
        for end, seen in ends:
            self.touched_before.update(dict.fromkeys(end.touched))
            self._log_all(seen)
        if last is not None:
            self._begin(number, last[0].is_counted)
            self._note_snapshots()
            self._end = last[0]
            self._log_all(last[1])
            self._sync_time()

    def check(self, sender: EthAddress, to: EthAddress, data: bytes, gas: int, always: bool) -> bytes:
        """Return the message of a call without effect for `run`, only after changes or `always`; empty for none."""
        message, mode = None, Mode.CALL | Mode.UNDOABLE | self._observer.watch
        if self._session.machine.tracer is None and 0 < gas < 1 << 64:
            message = call_message(sender, to, 0, data, gas, mode, NO_LIMIT)
        return b"" if message is None else CHECK.pack(always=always, size=len(message)) + message

    def _failed(self, failure: GuestFailure) -> CannotObserve:
        self.state = CallState.CLOSED
        self._exchanges.undo_after(0)
        self._session.held.close_after(failure)
        return CannotObserve()

    def _stopped(self, exit_code: int) -> None:
        """Undo exchanges of frames that have failed, and take the ends of the calls before the one that has stopped."""
        if self._is_interrupted:
            raise KeyboardInterrupt  # for the thread that waits
        if self._exchanges:
            self._requests.operate(OPERATION_HEAD.pack(Operation.EXCHANGES, ZERO_ADDRESS))
            number = COUNT.read(self._guest.output()).count
            self._exchanges.undo_after(number)
            if self._native is not None:
                del self._native.exchanged[number:]
        if exit_code not in _SUPPLIED:
            self._has_stopped = True
            self._observer.interception.note_changes()
            self._begin_stopped()
            self._note_snapshots()
        self._sync_time()

    def _note_snapshots(self) -> None:
        """Give the observer the snapshots that cheatcodes have taken in the guest."""
        snapshots = self._session.held.snapshots
        if snapshots.last != self._guest.snapshots:
            for taken, time in self._drive(lambda: snapshots.note_taken(self._guest)):
                self._observer.snapshot_taken(taken, time)

    def _sync_time(self) -> None:
        """Give the machine the block's number and time, if cheatcodes have set them in the guest."""
        if self._times != self._guest.times:
            self._guest.call(Command.TIME)
            number, timestamp = (int.from_bytes(word, "big") for word in BLOCK_TIME.read(self._guest.output()))
            self._times = self._guest.times
            self._session.set_time(number, timestamp)
            if self._native is not None:
                self._native.renew_block()

    # --- answers ----------------------------------------------------------------------------------------------

    def _answer_failed(self, request: bytes) -> bytes:
        at = self._take_logs(request, 0)
        outcome = self._observer.failed(self, request[at : at + 4], MessageReader(request, at + 4).reason())
        return self._answer(outcome, None)

    def _answer_end(self, request: bytes) -> bytes:
        self._observer.call_end(self, *self._read_end(request))
        return self._message(Answer.PASS)

    def _leave(self, _request: bytes) -> bytes:
        raise self._requests.kernel_needed()  # the call is made again with the kernel

    def _answer_access(self, _request: bytes) -> bytes:
        failed = self._observer.accessed(self)
        return self._message(Answer.PASS) if failed is None else reverting(failed)

    def _draw(self, request: bytes) -> bytes:
        """Draw a word, also for a frame that Python runs."""
        account, slot, is_write = RANDOM_REQUEST.read(request)
        self._observer.random_word(self, account, int.from_bytes(slot, "big"), bool(is_write))
        return self._message(Answer.PASS)

    def _interrupt(self) -> None:
        self._is_interrupted = True

    def _begin_stopped(self) -> None:
        """Take the ends of the calls before the one that has stopped."""
        number = self._guest.ended
        if number != self._ended:
            self._drive(lambda: self._guest.call(Command.TAKE_ENDS))
            self._take_ends(self._guest.output(), is_last=False)
            self._begin(number)

    def _begin(self, number: int, is_counted: bool = False) -> None:
        """Set the call that is running, or was the last one; the campaign knows it unless it was counted."""
        if number != self._ended:
            self._ended = number
            if self._mode & Mode.KEEP:  # else the calls before it have left none
                self._note_snapshots()
            self.touched_before.update(self.touched)
            self.touched.clear()
            step = None if is_counted or self._campaign is None else self._campaign.next()
            if step is not None and self._campaign is not None:
                self.origin, self.to = step.sender, self._campaign.plan.targets[step.target].address
            saved, *time = self._observer.interception.before(self._guest)
            self._session.set_time(*time)
            self._observer.begin_call(self.to, bool(self._mode & Mode.KEEP), saved)
            self._observer.interception.note_changes()
            self._times = -1  # the machine has the time before this call

    def _interest(self) -> bytes:
        """Return what the observer wants to see from now on."""
        return self._packed(self._observer.interest())

    def _packed(self, interest: Interest) -> bytes:
        calls, ends, at_once, goes_on, cheatcodes = interest
        at_once = at_once and not (self._mode & Mode.RECORD or self._exchanges or self._native)
        is_same = not self._is_renewed and self._watch == self._first_watch  # for the calls that follow
        return INTEREST.pack_values(calls, ends, at_once, goes_on and is_same, cheatcodes)

    def _hooks(self) -> frozenset[EthAddress]:
        """Return the contracts with storage hooks, which frames outside the guest do not call."""
        return frozenset() if self._mode & Mode.PYTHON_FRAMES else self._observer.hooked

    def _message(self, answer: int, *parts: bytes) -> bytes:
        """Return an answer, which also executes what the observer has written, and what it watches."""
        watch, random, hooked = self._observer.watch, self._observer.random, self._hooks()
        if self._watch != watch:
            self._watch = watch
            self._write(Operation.WATCH, ZERO_ADDRESS, COUNT.pack(watch))
        if self._random != random:
            self._random = random
            self._write(Operation.SET_RANDOM, ZERO_ADDRESS, _address_list(random))
        if self._hooked != hooked:
            self._hooked = hooked
            self._write(Operation.SET_HOOKED, ZERO_ADDRESS, _address_list(hooked))
        operations = self._take_operations()
        head = BORDER_ANSWER.pack_values(answer, len(operations))
        return b"".join((head, operations, self._interest(), *parts))

    def _answer_call(self, data: bytes) -> bytes:
        at = self._take_logs(data, 0)
        depth, number, static, gas, caller, sender, target, receiver, value, salt, size = CALL_REQUEST.unpack_from(
            data, at
        )
        at += CALL_REQUEST.size
        kind, second = KINDS.get(number), number == CallScheme.CREATE2
        delegates = kind is CallKind.DELEGATECALL
        request = InterceptedCall(
            kind, EthAddress(caller), EthAddress(target), EthAddress(receiver),
            int.from_bytes(value, "big"), data[at : at + size], gas, bool(static), depth, second,
            salt if second else b"", EthAddress(sender) if delegates else None,
        )  # fmt: skip
        decision = MessageReader(data, at + size).decision()
        return self._answer(self._observer.call(self, request, decision), self._entered)

    def _answer(self, outcome: SubcallOutcome, had: SubcallOutcome | None) -> bytes:
        """Return the answer with a call's outcome; `had` is the one that it has had, if it was made."""
        if outcome is had:
            return self._message(Answer.PASS)
        created, size = outcome.created, len(outcome.output)
        result = RESULT.pack_values(outcome.success, created is not None, created or ZERO_ADDRESS, size)
        return self._message(Answer.RESULT, result, outcome.output)

    def _take_logs(self, data: bytes, at: int) -> int:
        """Give the observer the logs at a position of a message; return the position after them."""
        if data[at : at + COUNT.size] == _NO_LOGS:
            return at + COUNT.size
        logs, at = read_logs(data, at)
        self._log_all(logs)
        return at

    def _log_all(self, logs: Iterable[tuple[EthAddress, Log]]) -> None:
        """Give the observer logs that it has not got as events of actors."""
        for emitter, log in logs:
            if self._native is None or emitter != KERNEL:
                self._observer.log(emitter, log)

    def enter(self, sender: EthAddress | None = None, code: EthAddress | None = None) -> SubcallOutcome:
        """Make the requested call, as another sender and with an account's code, which was read; return its outcome."""
        if code is not None:
            self._write(Operation.SET_CALLEE, code)
        self._depth += 1
        message = self._message(Answer.ENTER, _enter(sender))
        if needs_fresh_stack(self._depth):
            outcome = self._session.machine.stacks.run(lambda: self._enter(message), self._interrupt)
        else:
            outcome = self._enter(message)
        self._entered = outcome
        return outcome

    def _enter(self, answer: bytes) -> SubcallOutcome:
        """Make the entered call with an answer, and return its outcome."""
        request = self._drive(partial(self._requests.answer_and_go_on, answer, Exit.ENTERED_END))
        self._depth -= 1
        return self._read_end(request)[1]

    def isolate(
        self, request: InterceptedCall, sender: EthAddress | None, access_list: AccessList = ()
    ) -> tuple[SubcallOutcome, int, int] | None:
        """Make the requested call as a transaction; return its outcome, gas used and refund.

        Return None if its gas does not cover the intrinsic gas. Calls without the funds for their value are none.
        """
        who, fork, limit = sender or request.caller, self.fork, request.gas
        to = None if request.kind is None else request.target
        gas = min(limit + ISOLATED_BASE, self._session.block.block.gas_limit)
        call = Transaction(
            DYNAMIC_FEE, None, 0, to, request.value, request.data, gas, 0, 0, access_list=access_list
        )  # fmt: skip
        intrinsic, floor = required_gas(call, fork, who)
        if request.value and self.balance(who) < request.value:
            return self.enter(sender), 0, 0
        if max(intrinsic, floor) > gas:
            return None
        self._operate(Operation.BEGIN_ISOLATED, who, GAS.pack(gas - intrinsic))
        self._is_isolated = True
        for account, slots in access_list:
            self._write(Operation.TOUCH, account)
            for slot in slots:
                self.load(account, slot)
        outcome = self.enter(sender)
        values = ISOLATED_CHARGES.pack(limit=limit, intrinsic=intrinsic, floor=floor, quotient=fork.refund_quotient)
        used, refund = ISOLATED_GAS.read(self._operate(Operation.END_ISOLATED, ZERO_ADDRESS, values))
        self._is_isolated = False
        return outcome, used, refund

    def create(self, depth: int, caller: EthAddress, code: bytes, value: int, salt: bytes | None) -> SubcallOutcome:
        """Create a contract within the requested call, which costs its frame nothing; the observer sees it."""
        nonce = self.nonce(caller)
        made = create_address(caller, nonce) if salt is None else create2_address(caller, salt, code)
        second = salt is not None
        amount = value.to_bytes(32, "big")
        values = CREATION.pack(has_salt=second, salt=salt or bytes(32), value=amount, size=len(code))
        self._operate(Operation.CREATE, caller, values + code)
        request = InterceptedCall(None, caller, made, made, value, code, 0, False, depth, second, salt or b"")
        outcome = self._observer.intercept(self, request)
        self._operate(Operation.CREATED, ZERO_ADDRESS)
        return outcome

    def call(self, sender: EthAddress, to: EthAddress, data: bytes) -> SubcallOutcome:
        """Call a contract with the gas of the frame that has accessed a slot; the call costs the frame nothing."""
        self._operate(Operation.CALL, sender, CONTRACT_CALL.pack(to, len(data)) + data)
        outcome = self.enter()
        self._operate(Operation.CALLED, ZERO_ADDRESS)
        return outcome

    def _read_end(self, data: bytes) -> tuple[int, SubcallOutcome]:
        """Return the depth of the frame that has made a call, and the call's outcome."""
        at = self._take_logs(data, 0)
        depth, result, creates, created, size = CALL_END.read(data, at)
        at += CALL_END.size
        made, status = EthAddress(created) if creates else None, STATUS.get(result, Status.REVERT)
        return depth, SubcallOutcome(status == Status.SUCCESS, data[at : at + size], made, status)

    # --- the state ---------------------------------------------------------------------------------------------

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
            _, state = self._requests.find(address)
            words = None if state is None else self._session.held.contracts.words(state)
        return [] if words is None else sorted(slot for slot, word in words.items() if word)

    @contextmanager
    def written(self) -> Iterator[StateTree]:
        """Let the context read the state tree with what the call has changed."""
        count = len(self._exchanges)
        self._exchanges.begin(self._operate(Operation.WRITE_ALL, ZERO_ADDRESS))
        try:
            yield self._session.machine.state_tree
        finally:
            self._exchanges.undo_after(count)

    def snapshot(self) -> Snapshot | None:
        """Take a snapshot of the state, to `restore` in this call or a later one; None if all take too much memory."""
        if self._native is None:
            (number,) = COUNT.read(self._operate(Operation.SNAPSHOT, ZERO_ADDRESS))
            if not number:
                return None
            (taken,) = self._session.held.snapshots.note(number)
            self._session.held.snapshots.last = number
            return taken
        with self.written() as tree:
            return Snapshot(tree.image(), self.warmth())

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot; that is undone if the frame that has made the requested call fails.

        Raises CannotObserve.
        """
        snapshots = self._session.held.snapshots
        copy = None if self._native else snapshots.copy_of(snapshot)
        if copy is not None:
            self._operate(Operation.RESTORE, ZERO_ADDRESS, COUNT.pack_values(copy))
            self._operate(Operation.LOAD_OPEN, ZERO_ADDRESS)
            return
        self._drive(lambda: snapshots.write(snapshot))
        with self.exchange() as tree:
            tree.restore_image(snapshot.image)
            self.set_warmth(snapshot.warmth)

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
            self._native.settle()
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
        self._session.held.forget_actors()
        warmth = self.warmth() if self._next_warmth is None else self._next_warmth
        self._next_warmth = None
        self._operate(Operation.EXCHANGE, ZERO_ADDRESS, data_message(warmth))
        self._operate(Operation.LOAD_OPEN, ZERO_ADDRESS)
        if self._native is not None:
            self._native.note_exchange()

    def send_as(self, call: Call) -> CallResult:
        """Make a call in an actor's name. Raises SyscallError, CannotObserve without the kernel."""
        if self._native is None:
            self.wants_kernel = True
            raise CannotObserve
        return self._native.send_as(call)

    def _note_created(self) -> None:
        data = self._operate(Operation.CREATIONS, ZERO_ADDRESS)
        self.created.update(EthAddress(data[at : at + 20]) for at in range(0, len(data), 20))

    def set_origin(self, origin: EthAddress) -> None:
        """Set the transaction's origin that contracts see."""
        self._write(Operation.SET_ORIGIN, origin)
        self.origin = origin

    def renew_block(self) -> None:
        """Let contracts see the machine's block, which has changed. Raises CannotObserve."""
        self._is_renewed = True
        if self._native is not None:
            self._native.renew_block()
        if not self._session.renew_block(self._guest):
            raise CannotObserve

    def set_prices(self, gas_price: int, blob_hashes: tuple[bytes, ...], blob_base_fee: int | None) -> None:
        """Set the gas price and the blobs of the transaction, before or within it; the fee with the block."""
        self._session.blob_base_fee = blob_base_fee
        self._gas_price, self._blob_hashes = gas_price, blob_hashes
        if self.state is not CallState.NEW:
            if gas_price >> _PRICE_BITS:
                raise CannotObserve
            price = gas_price.to_bytes(16, "little")
            self._write(Operation.SET_PRICES, ZERO_ADDRESS, price + list_message(blob_hashes))

    @property
    def runs_in_guest(self) -> bool:
        """True if the guest runs frames."""
        return not self._mode & Mode.PYTHON_FRAMES

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
        return {*self.fork.precompiles, *self._session.block.filecoin_precompiles}

    # --- the end ----------------------------------------------------------------------------------------------

    def keep(self) -> bool:
        """Keep the changes of the call, which has ended; return True if there are any. Raises CannotObserve."""
        is_changed = self._drive(self._keep)
        self.state = CallState.CLOSED
        self._exchanges.keep()
        return is_changed

    def _keep(self) -> bool:
        if self._native is None:
            return self._session.held.keep(self._guest, 0, is_undoable=True)
        self._native.settle()
        self._guest.call(Command.KEEP)
        self._guest.call(Command.DRAIN)
        self._session.held.write_running(self._guest.output())
        self._exchanges.forget()
        return True


@lru_cache(maxsize=16)
def _address_list(addresses: frozenset[EthAddress]) -> bytes:
    return list_message(addresses)


def _enter(sender: EthAddress | None, flags: int = 0) -> bytes:
    """Return how a call is entered, as another sender if one is given."""
    return ENTER.pack(flags | (0 if sender is None else EnterFlag.AS_SENDER), sender or ZERO_ADDRESS)


def observe(
    session: StateSession, observer: CallObserver, sender: EthAddress, to: EthAddress, kernel: bool = False
) -> ObservedCall:
    """Return a call of a contract, which is free and has no checks. Raises InvalidInput as `StateSession.begin` does.

    With `kernel`, it may call native actors.
    """
    if kernel:
        session.machine.state_tree.settle()
    return ObservedCall(session, session.begin(), observer, sender, to, kernel)
