"""The state session: what a guest holds of a machine's state between transactions.

The guest reads accounts, slots and code once, and holds what transactions write until the state tree is read: then all
changes are written together (`hypervisor.state.state_tree.HeldChanges`). A session begins again when anything else has
changed the tree. Calls of native actors run within a transaction (`native`), frames of another engine in Python
(`frames`).
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from bridge.ethereum.addresses import EthAddress, create_address, unmask_id
from bridge.ethereum.block import BLOCK_HASHES, SYSTEM_ADDRESS, EthereumBlock
from bridge.ethereum.execution import HeldAccount
from bridge.ethereum.transactions import BLOB, SET_CODE, Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.receipts import Log, log_to_entries
from hypervisor.context import ExternError, Externs, MachineContext
from hypervisor.errors import Fatal, InvalidInput, LongExecution, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import GasOutputs, GasTracker
from hypervisor.kernel.call import MAX_TOTAL_MEMORY
from hypervisor.messages.events import StampedEvent
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import GasCharged, takes_record
from hypervisor.types import BURNT_FUNDS_ACTOR, MAX_BALANCE, SYSTEM_ACTOR, ActorID, TokenAmount
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.engine import Engine, EngineRules, Status
from runtimes.evm.contracts.host import NATIVE_CODE, NATIVE_CODE_HASH
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.forks.forks import Fork, code_limits
from runtimes.evm.forks.validation import (
    BlockLimits,
    InvalidTransaction,
    check,
    check_funds,
    check_sender,
    check_simulated,
    gas_price,
    required_gas,
    with_supported_type,
)
from runtimes.evm.revm.accounts import (
    NEW_CONTRACT,
    Accounts,
    ContractCache,
    ContractStates,
    delegated_address,
    ethereum_address,
)
from runtimes.evm.revm.calls import filecoin_precompiles
from runtimes.evm.revm.frames import PythonFrames
from runtimes.evm.revm.guest import (
    ACCESSES,
    CALL,
    CAPPED,
    CHECKED,
    COLLISION,
    COUNTERS,
    FAR_MEMORY,
    FIRST,
    FRAMES,
    IMPLICIT,
    INTERCEPTS,
    KEEP,
    LONG_CODE,
    LONG_INIT_CODE,
    OUT_OF_FUNDS,
    OVERFLOW,
    PAID,
    PRECOMPILE_ERROR,
    RECORD,
    RESERVED_CODE,
    SHORT,
    STATUS,
    STEPS,
    SYSTEM,
    UNDOABLE,
    Command,
    Ended,
    Exit,
    Guest,
    GuestFailure,
    Refusal,
    call_message,
    read_end,
    transaction_message,
)
from runtimes.evm.revm.guest_rules import account_spec, fork_message
from runtimes.evm.revm.native import KERNEL, NativeCalls, NativeSession
from runtimes.evm.revm.precompiles import run_precompile
from runtimes.evm.revm.record import (
    ActorNumbers,
    Codes,
    Replay,
    precompile_failure,
    text_of,
    text_of_cause,
)
from runtimes.evm.revm.transactions import (
    Entry,
    TransactionResult,
    block_hash,
    block_limits,
    block_of,
    block_randomness,
    fork_of,
    in_cbor,
    transaction_environment,
)
from store.cid import EMPTY_ARRAY_CID
from store.trees.kamt import EMPTY_KAMT

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState

_NAME: Final = "ethereum session"
_MAX_MEMORY: Final = 256 << 20
"""Bytes of a guest's memory above which it is not used for another transaction."""
PAUSE_STEPS: Final = 20_000
"""Number of steps (`Control` in the guest) after which an execution pauses, and of jumpdests until code is hot."""
_SHORT: Final = 10_000
"""Number of steps after which an execution is too long for its thread."""
RECORD_SIZE: Final = 1 << 20
"""Bytes of a transaction's record after which the tracer gets them."""
_GENERATION: Final = 1 << 32
_NO_LIMIT: Final = (1 << 32) - 1
_MAX_U64: Final = (1 << 64) - 1
_FEE_BITS: Final = 128

_RULES: Final = Struct("<IQQIIQQIII")
_BLOCK: Final = Struct("<32s32sQQ16s20s32sQ")
_COUNT: Final = Struct("<I")
_CODE: Final = Struct("<II")
_MAX_JUMPED: Final = 1024
_ACCOUNT: Final = Struct("<I20sI")
_FIELDS: Final = Struct("<32sQ32s")
_SLOT: Final = Struct("<I20s32s32sI")
_HAS_SLOTS, _NATIVE, _PRECOMPILE = 2, 4, 8
"""Flags of accounts (`supply_account`, `supply_native` in guests/revm/src/database.rs)."""
_CHANGE: Final = Struct("<20sI32sQ32sII")
_WORDS: Final = Struct("<32s32s")
_EXISTS, _WIPED, _HAS_NEW_CODE, _EXISTED = 1, 2, 4, 8
_HELD: Final = Struct("<32sQI")

MESSAGES: Final[dict[int, str]] = {
    ExitCode.SYS_OUT_OF_GAS: "out of gas",
    **{status: status.name for status in Status if status not in (Status.SUCCESS, Status.REVERT)},
}


_EXPLAINED: Final = frozenset(
    (OUT_OF_FUNDS, FAR_MEMORY, COLLISION, OVERFLOW, PRECOMPILE_ERROR, LONG_CODE, RESERVED_CODE, LONG_INIT_CODE)
)
_Rules = tuple[Fork, int, int | None, frozenset[str] | None]

_idle: list[Guest] = []
"""Guests that no session uses."""
_MAX_IDLE: Final = 4


class NeedsKernel(Exception):  # not an error: the transaction begins again
    """Raised if a transaction that runs without the kernel meets a native actor."""


def _return(guest: Guest) -> None:
    """Keep the guest of a session that has ended, for the next one."""
    if len(_idle) < _MAX_IDLE and guest.memory_bytes <= _MAX_MEMORY and not guest.is_full:
        _idle.append(guest)
    else:
        guest.close()


def session_of(machine: MachineState) -> StateSession:
    """Return the machine's session. Raises InvalidInput if contracts run on the bundle's EVM actor."""
    session = machine.kept.get(_NAME)
    if session is None:
        runtime = machine.registry.runtime_for(machine.manifest.code("evm"))[1]
        if not isinstance(runtime, EngineSource):
            raise InvalidInput("Ethereum's rules need this project's EVM")
        session = machine.kept[_NAME] = StateSession(machine, runtime)
    return cast(StateSession, session)


def account_of(machine: MachineState, address: EthAddress) -> HeldAccount:
    """Return an account as the machine's session holds it, else as in the state tree; zeros if there is none."""
    held = session_of(machine).account(address)
    if held is not None:
        return held
    with machine.state_tree.without_held():
        return Accounts(machine, Journal(), block_of(machine).filecoin_addresses).account(address)


@runtime_checkable
class EngineSource(Protocol):
    """The EVM actor's runtime."""

    @property
    def runs_in_guest(self) -> bool:
        """True if the guest runs frames, unless a tracer must see each instruction when it runs."""

    def frame_engine(self, rules: EngineRules) -> Engine:
        """Return an engine for a frame that Python runs."""


class StateSession:
    """The session of one machine."""

    def __init__(self, machine: MachineState, engines: EngineSource) -> None:
        self._machine = self.machine = machine
        self._engines = engines
        self.runs_in_guest = engines.runs_in_guest
        """True if the guest runs frames, unless a tracer must see each instruction when it runs."""
        self._frames: PythonFrames | None = None
        """The frames of the transaction, if Python runs them."""
        self._known = ContractCache()
        self._guest: Guest | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._tree: StateTree | None = None
        self._writes = -1
        self._generation = self._kept = 0
        """Number of times that the state was begun again, and of undoable transactions since then."""
        self._burnt = 0
        """AttoFIL that transactions have burnt since changes were written."""
        self._context: MachineContext | None = None
        self._ids: dict[EthAddress, ActorID] = {}
        self.addresses: dict[ActorID, EthAddress] = {}
        """Actors by address, and addresses by actor, of this state: an actor keeps its address."""
        self.accesses = b""
        """Accesses of the newest transaction that was kept with `ACCESSES` (`recording.AccessRecorder`)."""
        self.blob_base_fee: int | None = None
        """Blob base fee that contracts see instead of the block's."""
        self.filecoin_precompiles: Mapping[EthAddress, str] = {}
        """Filecoin's precompiles by address."""
        self.records_jumps = False
        """True if the jumps of calls with an observer are recorded (`take_jumps`)."""
        self.jumped: dict[int, bytes] = {}
        """The newest codes that have jumped, by number."""
        self._rules: _Rules | None = None
        self._externs: Externs | None = None
        self._codes = Codes()
        self._replay: Replay | None = None
        """The newest transaction's record, as far as the tracer has it."""
        self._intrinsic = 0
        """Gas of the newest transaction before its first call."""
        self._native: NativeCalls | None = None
        """The machine's calls of a transaction that calls native actors."""
        self.aliases: dict[EthAddress, int] = {}
        """Masked IDs of actors with an Ethereum address, which are other accounts in the guest, and their balance."""
        self.draw: Callable[[bytes], bytes] | None = None
        """Answers the requests of a call with an observer for random words."""
        self._contracts: ContractStates
        self.fork: Fork
        self._block: EthereumBlock
        self._limits: BlockLimits

    def transact(
        self, transaction: Transaction, sender: EthAddress, mode: int, limits: BlockLimits | None = None,
        entry: Entry | None = None,
    ) -> TransactionResult:  # fmt: skip
        """Run a transaction.

        The machine's tracer, if there is one, gets the events in parts. `limits` are the block's remaining limits;
        default: a whole block's. `entry` is the first call of a message that is not a transaction. Raises
        InvalidTransaction, without effect.
        """
        guest = self.begin()
        limits = limits or self._limits
        if not mode & CHECKED and transaction.type not in self.fork.transaction_types:
            transaction = with_supported_type(self.fork, transaction)
        if not mode & PAID and transaction.max_priority_fee > transaction.max_fee:
            transaction = replace(transaction, max_priority_fee=transaction.max_fee)
        may_fit = not mode & CHECKED or _may_fit(transaction, self.fork, limits)
        if not (mode & SYSTEM or (may_fit and _fits(transaction))):
            raise self._refused(transaction, sender, mode, limits)
        if mode & KEEP and self._machine.state_tree.transactions:
            mode |= UNDOABLE
        steps = _NO_LIMIT
        if self._machine.short is not None:
            steps, mode = _SHORT, mode | SHORT
        if not self.runs_in_guest or self._machine.tracer is not None:
            mode |= self.begin_frames(guest)
        if self._machine.tracer is not None:
            mode |= self.begin_record(mode)
            self._intrinsic = 0 if mode & (SYSTEM | IMPLICIT) else required_gas(transaction, self.fork, sender)[0]
        if entry is not None:
            mode |= FIRST
        context = self._machine.context
        message = transaction_message(transaction, sender, mode, steps, context.chain_id)
        price = gas_price(transaction, context.base_fee) if mode & PAID else 0
        blob_fee = 0
        if transaction.blob_hashes and mode & PAID and (mode & CHECKED or transaction.max_fee_per_blob_gas):
            blob_fee = transaction.blob_gas * self._limits.blob_base_fee
        burnt = min(price, context.base_fee), blob_fee
        is_live = mode & FRAMES and mode & RECORD  # the tracer gets nothing twice
        record = None
        try:
            try:
                if entry is not None or is_live or mode & INTERCEPTS:
                    raise self._kernel_needed()
                ended, record = self._execute(guest, message, mode, *burnt)
            except NeedsKernel:
                return self._with_kernel(transaction, sender, message, mode, price, burnt, entry)
            result = self._result(ended, transaction, sender, mode, price)
        except Refusal as refusal:
            raise self._refused(transaction, sender, mode, limits, str(refusal)) from None
        if record is not None:
            self.replay(*record, mode)
        return result

    def _refused(
        self, transaction: Transaction, sender: EthAddress, mode: int, limits: BlockLimits, reason: str = "its values"
    ) -> InvalidTransaction:
        """Return the error for a transaction that is refused. Raises Fatal, with `reason`, if it is valid."""
        fork = self.fork
        required = required_gas(transaction, fork, sender)
        account = account_of(self._machine, sender)
        try:
            if mode & CHECKED:
                check(transaction, fork, limits, required)
                check_sender(transaction, account, fork)
            else:
                is_paid, is_capped = bool(mode & PAID), bool(mode & CAPPED)
                check_simulated(transaction, fork, limits, required, is_paid=is_paid, is_capped=is_capped)
                check_funds(transaction, account.balance, is_paid=is_paid)
        except InvalidTransaction as error:
            return error
        raise Fatal(f"the EVM engine refuses a valid transaction: {reason}")

    def _kernel_needed(self) -> NeedsKernel:
        """Return the exception for a call of a native actor. Raises LongExecution if the thread has no time."""
        if self._machine.short is not None:
            raise LongExecution("a native actor may run for long")
        return NeedsKernel()

    def _with_kernel(
        self, transaction: Transaction, sender: EthAddress, message: bytes, mode: int, price: int,
        burnt: tuple[int, int], entry: Entry | None,
    ) -> TransactionResult:  # fmt: skip
        """Run a transaction that calls native actors, and write its changes.

        What the guest holds is forgotten. Raises Refusal.
        """
        machine = self._machine
        tree = machine.state_tree
        tree.settle()
        guest = self.begin()
        environment = transaction_environment(machine, transaction, sender, price, self._limits.blob_base_fee)
        if mode & FRAMES:  # of the guest that the transaction has now
            self.begin_frames(guest)
        tree.engine = None
        self.aliases.clear()
        mark, is_kept = tree.begin(), False
        replay = self._replay_of(mode) if mode & RECORD else None
        if replay is not None:
            replay.begin_again()
        try:
            native = self._native = NativeCalls(self, guest, mode, transaction, sender, environment, entry, replay)
            native.on_fresh_stack(lambda: self.go_on(guest, guest.call(Command.TRANSACT, message), mode, Exit.DONE))
            ended = read_end(guest.output())
            record = self.read_record(guest) if mode & RECORD else None
            if mode & KEEP:
                native.end()
                guest.call(Command.KEEP)
                self.accesses = guest.output()
                guest.call(Command.DRAIN)
                self._burnt = ended.gas_used * burnt[0] + burnt[1]
                self._write_all(tree, guest.output())
            result = self._result(ended, transaction, sender, mode, price)
            if record is not None:
                self.replay(*record, mode)
            is_kept = bool(mode & KEEP)
            return result
        except GuestFailure as failure:
            self.release()
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        finally:
            self._native = self._tree = None
            self._drop()
            tree.commit() if is_kept else tree.rollback(mark)

    def call_system(self, to: EthAddress, data: bytes, gas: int, mode: int) -> bool:
        """Call a contract from the system address, without a result; return False, without effect, if it cannot."""
        guest = self.begin()
        mode |= KEEP | SYSTEM | (UNDOABLE if self._machine.state_tree.transactions else 0)
        if not self.runs_in_guest:
            mode |= self.begin_frames(guest)
        try:
            self._execute(guest, call_message(SYSTEM_ADDRESS, to, 0, data, gas, mode, _NO_LIMIT), mode, 0, 0)
        except NeedsKernel:
            return False
        return True

    def _execute(
        self, guest: Guest, message: bytes, mode: int, burnt_per_gas: int, burnt: int
    ) -> tuple[Ended, tuple[bytes, int] | None]:
        """Run a transaction, and keep its changes; return its end, and its record if there is one.

        Raises Refusal and NeedsKernel, without effect.
        """
        is_running = True
        try:
            ended = read_end(self.go_on(guest, guest.call(Command.TRANSACT, message), mode, Exit.DONE))
            record = self.read_record(guest) if mode & RECORD else None
            if mode & KEEP:
                self._keep(guest, burnt + ended.gas_used * burnt_per_gas, mode)
            is_running = False
            return ended, record
        except GuestFailure as failure:  # it lacks memory, or has a defect
            is_running = False
            self.close_after(failure)
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        finally:
            if is_running:
                self.abandon(guest)

    # --- tracers ----------------------------------------------------------------------------------------------

    def begin_frames(self, guest: Guest) -> int:
        """Return the mode with which a transaction that begins runs its frames. Raises LongExecution."""
        tracer = self._machine.tracer
        if self.runs_in_guest and (tracer is None or takes_record(tracer)):
            self._frames = None
            return 0
        if self._machine.short is not None:
            raise LongExecution("frames of this engine may run for long")
        self._frames = PythonFrames(self, guest, self._engines.frame_engine)
        return FRAMES

    def begin_record(self, mode: int) -> int:
        """Return the mode with which a transaction that begins is recorded for the machine's tracer; 0 without one."""
        tracer, self._replay, self._intrinsic = self._machine.tracer, None, 0
        if tracer is None:
            return 0
        if mode & FRAMES:
            return RECORD
        return RECORD | (COUNTERS if hasattr(tracer, "visit_all") else STEPS if hasattr(tracer, "step") else 0)

    def read_record(self, guest: Guest) -> tuple[bytes, int]:
        """Return the next part of a transaction's record, and where it begins; it must run with `RECORD`."""
        guest.call(Command.RECORD)
        record = guest.output()
        return record, self._codes.take(record)

    def replay(self, record: bytes, at: int, mode: int) -> None:
        """Give the events of a part of a transaction's record to the machine's tracer."""
        self._replay_of(mode).run(record, at)

    def replay_now(self, mode: int) -> None:
        """Give the tracer the events until a stop, where the kernel reports what follows."""
        assert self._guest is not None, "it has stopped"
        self.replay(*self.read_record(self._guest), mode)
        self._replay_of(mode).stop()

    def _replay_of(self, mode: int) -> Replay:
        if self._replay is None:
            tracer, manifest = self._machine.tracer, self._machine.manifest
            assert tracer is not None, "`RECORD` is set for a tracer"
            has_system = mode & SYSTEM or self.fork.transfer_logs
            numbers = ActorNumbers(self._machine.state_tree, self._ids, SYSTEM_ADDRESS if has_system else None)
            evm = manifest.code("evm")
            runtime = self._machine.registry.runtime_for(evm)[0]
            self._replay = Replay(tracer, self.fork, self._codes, numbers, (evm, runtime))
            if self._intrinsic:
                tracer.event(GasCharged("OnIntrinsicGas", self._intrinsic))
        return self._replay

    def _look_up(self, address: EthAddress, mode: int) -> ActorID | None:
        """Return the actor of an account, which the transaction may have created, and removed again."""
        tree, delegated = self._machine.state_tree, delegated_address(address)
        with tree.without_held():
            actor = tree.lookup_id(delegated)
        return tree.lookup_id(delegated) if actor is None and mode & KEEP else actor

    def go_on(self, guest: Guest, exit_code: int, mode: int, end: Exit) -> bytes:
        """Answer requests until an exit, and return its message. Raises Refusal and NeedsKernel."""
        while exit_code != end:
            if exit_code == Exit.INVALID:
                raise Refusal(guest.output().decode())
            if exit_code == Exit.LEAVE:
                raise Fatal("the EVM engine lacks a value in the middle of a transaction")
            answer = self.answer(exit_code, guest.output(), mode)
            if answer is None:
                raise self._kernel_needed()
            exit_code = guest.call(Command.ANSWER, answer)
        return guest.output()

    def check_interrupt(self) -> None:
        """Raise KeyboardInterrupt for an interrupted thread that waits for a native actor."""
        if self._native is not None and self._native.gas.stopped:
            raise KeyboardInterrupt

    def _keep(self, guest: Guest, burnt: int, mode: int) -> bool:
        """Keep the changes of a transaction that has ended; return True if there are any."""
        tree, before = self._machine.state_tree, (self._burnt, self._kept)
        held = tree.held
        try:
            self._burnt, self._kept = self._burnt + burnt, self._kept + 1 if mode & UNDOABLE else 0
            tree.held = self
            is_changed = bool(guest.call(Command.KEEP))
            if mode & ACCESSES:
                self.accesses = guest.output()
            return is_changed
        except BaseException:
            (self._burnt, self._kept), tree.held = before, held
            raise

    def abandon(self, guest: Guest) -> None:
        """Give up the transaction in execution, and take note of those that the guest kept before an interrupt."""
        try:
            self.note_kept(guest.call(Command.ABANDON) - self._kept)
        except GuestFailure as failure:
            self.close_after(failure)

    # --- calls with an observer -------------------------------------------------------------------------------

    def call_message(
        self, sender: EthAddress, to: EthAddress, value: int, data: bytes, gas: int, mode: int
    ) -> bytes | None:
        """Return the message that starts a free call without checks; None if it cannot have these values."""
        if not (0 <= value <= MAX_BALANCE and 0 < gas <= _MAX_U64):
            return None
        return call_message(sender, to, value, data, gas, mode | CALL | UNDOABLE, _NO_LIMIT)

    def transaction_message(self, sender: EthAddress, call: Transaction, mode: int) -> bytes | None:
        """Return the message that starts a free call or creation; None if it cannot have these values."""
        mode |= CALL | UNDOABLE
        return (
            transaction_message(call, sender, mode, _NO_LIMIT, self._machine.context.chain_id) if _fits(call) else None
        )

    @property
    def block_gas_limit(self) -> int:
        """Gas limit of the block."""
        return self._block.gas_limit

    def take_jumps(self) -> bytes:
        """Return the executed jump destinations since the last time, of code that is not init code.

        A 64-bit integer each: the code's number (upper 32 bits), the program counter (lower 32).
        """
        if self._guest is None:
            return b""
        self._guest.call(Command.JUMPS)
        data, at = self._guest.output(), _COUNT.size
        for _ in range(_COUNT.unpack_from(data)[0]):
            number, size = _CODE.unpack_from(data, at)
            at += _CODE.size
            self.jumped[number], at = data[at : at + size], at + size
            if len(self.jumped) > _MAX_JUMPED:
                del self.jumped[next(iter(self.jumped))]
        return data[at:]

    def note_kept(self, number: int) -> None:
        """Take note of calls that the guest has kept."""
        if number:
            self._kept += number
            self._machine.state_tree.held = self

    def keep_call(self, guest: Guest) -> bool:
        """Keep the changes of an observed call; return True if there are any. Raises GuestFailure."""
        return self._keep(guest, 0, UNDOABLE)

    def renew_block(self, guest: Guest) -> bool:
        """Give a running transaction the machine's block; return False if its rules are others."""
        machine = self._machine
        block = block_of(machine)
        rules = self._rules_of(block)
        if self._rules is None or rules[0] != self._rules[0]:
            return False
        try:
            if rules != self._rules:
                fork_rules, rest = self._rules_message(rules[0], block, self.filecoin_precompiles)
                guest.set_rules(fork_rules, rest)
            guest.call(Command.BLOCK, self._block_message(block, block_limits(machine, block, rules[0]).blob_base_fee))
        except InvalidInput:
            self._context = None
            return False
        self._rules, self._block, self._context = rules, block, machine.context
        return True

    def forget_block(self) -> None:
        """Tell the guest the machine's block again before the next transaction."""
        self._context = None

    def word(self, address: EthAddress, slot: int) -> int | None:
        """Return a slot's word as the guest holds it; None if it does not."""
        guest = self._guest
        if guest is None or not self.is_current or not guest.call(Command.PEEK, address + slot.to_bytes(32, "big")):
            return None
        return int.from_bytes(guest.output(), "big")

    @property
    def is_current(self) -> bool:
        """True if the guest holds the state of the machine's tree."""
        tree = self._machine.state_tree
        return self._guest is not None and tree is self._tree and tree.writes == self._writes

    def account(self, address: EthAddress) -> HeldAccount | None:
        """Return an account as the guest holds it, with zeros if there is none; None if the guest does not hold it."""
        guest = self._guest
        if guest is None or not self.is_current:
            return None
        try:
            if not guest.call(Command.READ, address):
                return None
        except GuestFailure as failure:
            self.close_after(failure)
            return None
        data = guest.output()
        balance, nonce, _ = _HELD.unpack_from(data)
        return HeldAccount(int.from_bytes(balance, "big"), nonce, data[_HELD.size :])

    # --- the state --------------------------------------------------------------------------------------------

    def begin(self) -> Guest:
        """Return the guest with the machine's state and block. Raises InvalidInput for a fork that it cannot have."""
        machine, guest = self._machine, self._guest
        if guest is None:
            return self._begin_block()
        if guest.memory_bytes > _MAX_MEMORY or guest.is_full:
            machine.state_tree.settle()
            self.release()
        elif self.is_current and machine.context is self._context and machine.externs is self._externs:
            return guest
        return self._begin_block()

    def _begin_block(self) -> Guest:
        machine, guest = self._machine, self._guest
        tree, context = machine.state_tree, machine.context
        block = block_of(machine)
        rules = self._rules_of(block)
        fork = rules[0]
        if guest is None:
            self._rules = None
        # What is held was changed by the rules of its fork.
        is_new = not self.is_current or (self._rules is not None and self._rules[0] != fork)
        filecoin = filecoin_precompiles(context.network.evm) if block.filecoin_addresses else {}
        rules_message = None if rules == self._rules else self._rules_message(fork, block, filecoin)
        limits = block_limits(machine, block, fork)
        block_message = self._block_message(block, limits.blob_base_fee)
        self._context = None
        if guest is None:
            guest = self._guest = _new_guest()
            self._end = weakref.finalize(self, _return, guest)
        try:
            if is_new:
                tree.settle()
                self._drop()
                guest.call(Command.ABANDON)
                guest.call(Command.RESET)
            if rules_message is not None:
                self._rules = None
                guest.set_rules(*rules_message)
            guest.call(Command.BLOCK, block_message)
        except GuestFailure as failure:
            self.close_after(failure)
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        self._known.trim()
        if is_new:
            self._hold(tree)
        self._rules, self.fork, self.filecoin_precompiles = rules, fork, filecoin
        self._block, self._limits = block, limits
        self._context, self._externs = context, machine.externs
        return guest

    def _rules_of(self, block: EthereumBlock) -> _Rules:
        """Return the origin of the guest's rules: fork, chain ID, code limit, features of Filecoin's precompiles."""
        context = self._machine.context
        features = context.network.evm if block.filecoin_addresses else None
        return fork_of(self._machine, block), context.chain_id, block.code_limit, features

    def _hold(self, tree: StateTree) -> None:
        """Note that the guest holds the state of a tree, and nothing of it yet."""
        if self._tree is not None:
            self._tree.engine = None
        tree.engine = self
        self._codes.clear()
        self._tree, self._writes, self._ids, self.addresses = tree, tree.writes, {}, {}
        self._contracts = ContractStates(self._machine, self._known)
        self._generation, self._kept = self._generation + 1, 0

    def close_after(self, failure: GuestFailure) -> None:
        """Close the guest after a failure. Raises Fatal if it held changes, which are lost."""
        held = self._tree is not None and self._tree.held is not None
        self.release()
        if held:
            raise Fatal(f"the EVM engine failed, and the block's earlier transactions are lost: {failure}") from failure

    def release(self) -> None:
        """Close the guest; the next transaction begins with another one."""
        if self._guest is not None and self._end is not None:
            self._end.detach()
            self._guest.close()
        self._guest = None
        self._drop()

    def _rules_message(
        self, fork: Fork, block: EthereumBlock, filecoin: Mapping[EthAddress, str]
    ) -> tuple[bytes, bytes]:
        """Return the fork's rules and the others. Raises InvalidInput."""
        code, init_code = code_limits(block, fork)
        blobs = fork.blobs
        head = _RULES.pack(
            account_spec(fork), self._machine.context.chain_id, MAX_TOTAL_MEMORY,
            _NO_LIMIT if code is None else code, _NO_LIMIT if init_code is None else init_code,
            blobs.maximum if blobs.per_transaction is None else blobs.per_transaction,
            fork.execution_gas_cap or fork.transaction_gas_cap or 0, PAUSE_STEPS, RECORD_SIZE, len(fork.precompiles),
        )  # fmt: skip
        warm = *filecoin, *block.removed_precompiles
        return fork_message(fork), b"".join((head, *fork.precompiles, _COUNT.pack(len(warm)), *warm))

    def _block_message(self, block: EthereumBlock, blob_base_fee: int) -> bytes:
        machine, context = self._machine, self._machine.context
        blob_base_fee = blob_base_fee if self.blob_base_fee is None else self.blob_base_fee
        try:
            randomness = block_randomness(machine, block)
            return _BLOCK.pack(
                context.epoch.to_bytes(32, "big"), context.timestamp.to_bytes(32, "big"),
                min(block.gas_limit, _MAX_U64), context.base_fee, blob_base_fee.to_bytes(16, "little"), block.coinbase,
                randomness, block.slot_number,
            )  # fmt: skip
        except ExternError as error:
            raise InvalidInput(f"the block has no randomness, and its machine has none for it: {error}") from error
        except (OverflowError, struct.error) as error:
            words = f"base fee {context.base_fee}, blob base fee {blob_base_fee}, slot {block.slot_number}"
            raise InvalidInput(f"the block's values exceed 64 bits, or 128 for blobs: {words}") from error

    # --- requests ---------------------------------------------------------------------------------------------

    def answer(self, exit_code: int, request: bytes, mode: int = 0) -> bytes | None:
        """Return the answer to a request of a transaction; None for a native actor, which needs the kernel."""
        short, tree = self._machine.short, self._machine.state_tree
        if short is not None:
            if exit_code == Exit.PRECOMPILE or (exit_code == Exit.PAUSE and not request[0]):
                raise LongExecution("a precompile, or a frame, may run for long")
            short.check()
        if exit_code == Exit.PAUSE:
            self.check_interrupt()
            assert self._guest is not None, "it has paused"
            self._guest.compile(request, self.fork)
            return _COUNT.pack(exit_code)
        if exit_code == Exit.RECORD:
            assert self._guest is not None, "it has recorded"
            self.replay(*self.read_record(self._guest), mode)
            return _COUNT.pack(exit_code)
        if exit_code == Exit.RANDOM:
            return None if self.draw is None else self.draw(request)
        if exit_code == Exit.FRAME:
            assert self._frames is not None, "`FRAMES` is set for them"
            return self._frames.answer(request, mode)
        if exit_code == Exit.NATIVE:
            assert self._native is not None, "the guest has got a native actor"
            return self._native.answer(request)
        held, tree.held = tree.held, None  # the tree is read as it is written
        try:
            match exit_code:
                case Exit.ACCOUNT:
                    return self._account(EthAddress(request))
                case Exit.SLOT:
                    address, slot = EthAddress(request[:20]), int.from_bytes(request[20:], "big")
                    if mode & SYSTEM and address == BLOCK_HASHES:  # not read: a fork's node may be away
                        return _SLOT.pack(exit_code, address, request[20:], bytes(32), 0)
                    words = self._contracts.words(self._existing(address))
                    word = 0 if words is None else words.get(slot)
                    bits = 0 if word or words is None else words.absent_bits(slot)
                    return _SLOT.pack(exit_code, address, request[20:], word.to_bytes(32, "big"), bits)
                case Exit.CODE:
                    code = self._code(EthAddress(request[:20]), request[20:])
                    return b"".join((_COUNT.pack(exit_code), request[20:], _COUNT.pack(len(code)), code))
                case Exit.BLOCK_HASH:
                    return (
                        _COUNT.pack(exit_code) + request + block_hash(self._machine, int.from_bytes(request, "little"))
                    )
                case Exit.PRECOMPILE:
                    limit = int.from_bytes(request[20:28], "little")
                    return self._precompile(EthAddress(request[:20]), limit, request[32:])
        finally:
            tree.held = held
        return None

    def _account(self, address: EthAddress) -> bytes | None:
        actor, state = self._find(address)
        calls, flags, evm = self._native, 1, self._contracts.evm_code
        if self._block.filecoin_addresses:
            masked = unmask_id(address)
            if masked is not None and actor is None:
                actor, flags = masked, 1 | _NATIVE
                state = self._machine.state_tree.get_actor(masked)
            elif address in self.filecoin_precompiles and (state is None or state.code != evm):
                flags |= _PRECOMPILE
        codes = self._machine.manifest.ethereum_codes
        if state is not None and state.code not in codes:
            flags |= _NATIVE
        if flags != 1 and calls is None:
            return None
        if calls is not None and actor is not None:
            state = calls.base(actor, state)
        if actor is None or state is None:
            return _ACCOUNT.pack(Exit.ACCOUNT, address, flags - 1)
        nonce, code_hash = state.nonce, EMPTY_CODE_HASH
        if state.code == evm:
            contract = self._contracts.of(state)
            nonce, code_hash = contract.nonce, contract.bytecode_hash
            flags |= 0 if contract.storage == EMPTY_KAMT else _HAS_SLOTS
        elif state.code not in codes:
            code_hash = NATIVE_CODE_HASH
        self._ids[address] = actor
        own = None if state.delegated_address is None or calls is None else ethereum_address(state.delegated_address)
        if own is not None and own != address:
            self.aliases[address] = state.balance
        fields = _FIELDS.pack(state.balance.to_bytes(32, "big"), nonce, code_hash)
        return _ACCOUNT.pack(Exit.ACCOUNT, address, flags) + fields

    def _code(self, address: EthAddress, code_hash: bytes) -> bytes:
        if code_hash == NATIVE_CODE_HASH:
            return NATIVE_CODE
        return self._contracts.code_block(self._contracts.of(self._existing(address)).bytecode)

    def _find(self, address: EthAddress) -> tuple[ActorID | None, ActorState | None]:
        """Return the actor of an address, and its state; None for one that was never used, or was removed."""
        tree = self._machine.state_tree
        actor = tree.lookup_id(delegated_address(address))
        return actor, None if actor is None else tree.get_actor(actor)

    def _existing(self, address: EthAddress) -> ActorState:
        actor = self._ids.get(address)
        state = self._find(address)[1] if actor is None else self._machine.state_tree.get_actor(actor)
        if state is None:
            raise Fatal(f"there is no actor at 0x{address.hex()}")
        return state

    def slots(self, address: EthAddress) -> list[int]:
        """Return the slots of an account in the tree that are not zero."""
        _, state = self._find(address)
        words = None if state is None else self._contracts.words(state)
        return [] if words is None else sorted(slot for slot, word in words.items() if word)

    def _precompile(self, address: EthAddress, limit: int, data: bytes) -> bytes:
        fork = self.fork
        name, gas = fork.precompiles[address], GasTracker(limit)
        try:
            output = run_precompile(fork, name, data, gas)
        except (PrecompileFailure, OutOfGas):
            return _COUNT.pack(Exit.PRECOMPILE) + bytes(16)
        used = gas.used.to_bytes(8, "little")
        return b"".join((_COUNT.pack(Exit.PRECOMPILE), _COUNT.pack(1), used, _COUNT.pack(len(output)), output))

    # --- results ----------------------------------------------------------------------------------------------

    def _result(
        self, ended: Ended, transaction: Transaction, sender: EthAddress, mode: int, price: int
    ) -> TransactionResult:
        logs, native = ended.logs, self._native
        events = self._events(logs, mode) if logs else ()
        status, used, created = STATUS[ended.end], ended.gas_used, ended.created
        burnt = min(price, self._machine.context.base_fee)
        answers = ended.ran and created is None and status in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
        output, message, reason = byte_string(ended.output) if answers else b"", MESSAGES.get(status, ""), ""
        if ended.end in _EXPLAINED:
            message, reason = self._explain(ended, transaction, sender)
        elif ended.cause:
            reason = text_of_cause(ended.cause)
        if native is not None:
            logs = native.logs(logs)
            if native.first is not None:
                first = native.first
                status, output, message = first.exit_code, in_cbor(first.block), first.message
            reason = native.reason(status, output, message)
        execution_gas = ended.gas_before_refunds if self.fork.gas_before_refunds else used
        execution_gas = 0 if mode & IMPLICIT else max(execution_gas - ended.state_gas, ended.floor)
        return TransactionResult(
            status == ExitCode.OK,
            used,
            output,
            logs if mode & KEEP else (),
            created,
            events,
            status,
            message,
            reason,
            GasOutputs(
                base_fee_burn=TokenAmount(used * burnt),
                miner_tip=TokenAmount(used * (price - burnt)),
                refund=TokenAmount((transaction.gas_limit - used) * price),
            ),
            execution_gas,
            ended.state_gas,
            max(ended.gas_before_refunds, ended.floor, used),
        )

    def _explain(self, ended: Ended, transaction: Transaction, sender: EthAddress) -> tuple[str, str]:
        """Return the message and the reason of a failure that names values."""
        to, value = transaction.to, transaction.value
        if ended.end == COLLISION:
            return "a contract exists at this address already", ""
        if ended.end == OUT_OF_FUNDS:
            balance = account_of(self._machine, sender).balance
            return f"0x{sender.hex()} cannot send {value} wei: it has {balance}", ""
        if ended.end == PRECOMPILE_ERROR and to is not None:
            gas = GasTracker(transaction.gas_limit - required_gas(transaction, self.fork, sender)[0], per_gas=1)
            return precompile_failure(self.fork, self.fork.precompiles[to], transaction.data, gas), ""
        to = create_address(sender, transaction.nonce) if to is None else to
        text = text_of(ended.end, ended.output, value, to)
        return text, f"0x{to.hex()}: {text}" if ended.end == RESERVED_CODE else text

    def _events(self, logs: tuple[tuple[EthAddress, Log], ...], mode: int) -> tuple[StampedEvent, ...]:
        """Return the logs as events. What a simulation creates has the numbers of the next actors."""
        events, unwritten = [], dict[EthAddress, ActorID]()
        for address, log in logs:
            actor: ActorID | None
            if address == KERNEL and self._native is not None:
                events.append(self._native.event(log))
                continue
            if address == SYSTEM_ADDRESS and self.fork.transfer_logs:
                actor = SYSTEM_ACTOR
            else:
                actor = self._ids.get(address) or self._look_up(address, mode)
                if actor is None:
                    with self._machine.state_tree.without_held():
                        number = self._machine.state_tree.init_state().next_id + len(unwritten)
                    actor = unwritten.setdefault(address, ActorID(number))
                else:
                    self._ids[address] = actor
            if address not in unwritten:
                self.addresses[actor] = address
            events.append(StampedEvent(actor, tuple(log_to_entries(log))))
        return tuple(events)

    # --- writing ----------------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Forget the changes that the guest holds: its state is not the tree's any more."""
        self._burnt, self._context, self._writes = 0, None, -1
        if self._tree is not None:
            self._tree.held = None

    def mark(self) -> int:
        """Return the number of transactions that `undo` can leave; -1 for a state that is not the tree's."""
        return self._generation * _GENERATION + self._kept if self.is_current else -1

    def undo(self, mark: int) -> None:
        """Undo the transactions since a mark of this state."""
        generation, kept = divmod(mark, _GENERATION)
        if self._guest is None or self._tree is None:
            return
        if generation != self._generation:
            if not self.is_current:
                self._drop()
                return
            kept = 0  # it began after the mark, and nothing had been written since the mark
        if kept != self._kept:
            try:
                self._guest.call(Command.UNDO, _COUNT.pack(kept))
            except GuestFailure:
                self.release()
                return
            self._kept = kept
        if self._writes != self._tree.writes:  # an actor may get another number
            self._ids, self.addresses = {}, {}
        self._burnt, self._writes = 0, self._tree.writes

    def settle(self) -> None:
        """Write the changes that the guest holds to the tree, with what was burnt.

        Raises Fatal and the store's errors; the changes are then still held.
        """
        guest, tree, burnt = self._guest, self._tree, self._burnt
        assert guest is not None
        assert tree is not None
        tree.held = None
        mark = tree.begin()
        try:
            guest.call(Command.DRAIN)
            self._write_all(tree, guest.output())
        except BaseException as error:
            tree.rollback(mark)
            tree.held, self._burnt = self, burnt
            if isinstance(error, GuestFailure):
                self.close_after(error)
            raise
        tree.commit()
        self._burnt, self._writes = 0, tree.writes
        try:
            guest.call(Command.DRAINED)
        except GuestFailure:
            self.release()

    def write_running(self, changes: bytes) -> None:
        """Write the changes of a running call, and what is held, to the tree (`exchanges`)."""
        self._write_all(self._machine.state_tree, changes)
        self.forget_actors()

    def begin_kernel(
        self, link: NativeSession, guest: Guest, call: Transaction, sender: EthAddress, mode: int
    ) -> NativeCalls:
        """Let the kernel take part in a call with an observer, which has begun with a tree that has all changes."""
        environment = transaction_environment(
            self._machine, call, sender, call.max_fee, self._limits.blob_base_fee
        )  # fmt: skip
        self.aliases.clear()
        replay = self._replay_of(mode) if mode & RECORD else None
        self._native = NativeCalls(link, guest, mode, call, sender, environment, None, replay)
        return self._native

    def end_kernel(self) -> None:
        """Forget what the guest holds after a call in which the kernel took part."""
        self._native = self._tree = None
        self._drop()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Let the machine have another session while a call is running in this one."""
        kept, tree = self._machine.kept, self._machine.state_tree
        del kept[_NAME]
        try:
            yield
        finally:
            tree.settle()
            other = kept.get(_NAME)
            if other is not None:
                other.release()
            kept[_NAME] = self
            tree.engine = None

    def forget_actors(self) -> None:
        """Look up the actors of addresses again."""
        self._ids.clear()
        self.addresses.clear()

    def note_written(self) -> None:
        """Note that the guest holds the state of the tree, as it is now."""
        self._writes = self._machine.state_tree.writes

    def note_exchanged(self) -> None:
        """Note that the guest cannot undo what it has kept."""
        self._generation, self._kept = self._generation + 1, 0

    def _write_all(self, tree: StateTree, data: bytes) -> None:
        at, written, received = _COUNT.size, dict[ActorID, ActorState](), dict[ActorID, int]()
        for _ in range(_COUNT.unpack_from(data)[0]):
            at = self._write(tree, data, at, written, received)
        tree.set_actors(written)
        for actor, amount in received.items():
            state = tree.get_actor(actor)
            if state is not None:  # a contract that destroyed itself takes what its masked ID has received along
                tree.set_actor(actor, state.with_balance(TokenAmount(state.balance + amount)))
        if self._burnt and not tree.credit(BURNT_FUNDS_ACTOR, self._burnt):
            raise Fatal(f"actor f0{BURNT_FUNDS_ACTOR} is missing")

    def _write(
        self, tree: StateTree, data: bytes, at: int, written: dict[ActorID, ActorState], received: dict[ActorID, int]
    ) -> int:
        """Add the state of one changed account to `written`; return the position of the next one.

        `received` gets what masked IDs have received of actors with an Ethereum address.
        """
        raw, flags, amount, nonce, code_hash, size, count = _CHANGE.unpack_from(data, at)
        at += _CHANGE.size
        end: int = at + size + _WORDS.size * count
        address = EthAddress(raw)
        has_code = flags & _HAS_NEW_CODE and data[at : at + size] != NATIVE_CODE
        delegated, actor = delegated_address(address), None if has_code else self._ids.get(address)
        if actor is None:
            actor = tree.lookup_id(delegated)
        state = None if actor is None else tree.get_actor(actor)
        masked = unmask_id(address) if actor is None and self._block.filecoin_addresses else None
        if masked is not None and not has_code and tree.get_actor(masked) is not None:  # the kernel has created it
            actor, state = masked, tree.get_actor(masked)
        code, contracts = None if state is None else state.code, self._contracts
        is_native = code not in self._machine.manifest.ethereum_codes
        if actor is not None and state is not None and (is_native or state.delegated_address != delegated):
            if address in self.aliases:
                received[actor] = int.from_bytes(amount, "big") - self.aliases[address]
                return end
            nonce = state.nonce if code == contracts.evm_code else nonce
            amount = TokenAmount(int.from_bytes(amount, "big"))
            written[actor] = ActorState(state.code, state.head, nonce, amount, state.delegated_address)
            return end
        if not flags & _EXISTS:
            if actor is not None and state is not None:
                tree.delete_actor(actor)
            elif flags & _EXISTED and actor is None:
                tree.register_address(delegated)  # an address keeps the number that it once had
            return end
        if actor is None:
            actor = tree.register_address(delegated)
        if has_code:  # a masked ID with code is an account of its own, no longer its actor
            self._ids[address] = actor
        balance = TokenAmount(int.from_bytes(amount, "big"))
        if state is None or flags & _WIPED:
            state = ActorState(self._machine.manifest.code("ethaccount"), delegated_address=delegated)
        is_contract = state.code == contracts.evm_code
        if not (is_contract or count or flags & _HAS_NEW_CODE):
            written[actor] = ActorState(state.code, state.head, nonce, balance, delegated)
            return end
        before, number = contracts.of(state) if is_contract else NEW_CONTRACT, int.from_bytes
        cid = contracts.put_code(data[at : at + size]) if flags & _HAS_NEW_CODE else before.bytecode
        slots = [(number(slot, "big"), number(word, "big")) for slot, word in _WORDS.iter_unpack(data[at + size : end])]
        storage = contracts.write_slots(before.storage, slots) if slots else before.storage
        after = EvmState(cid, code_hash, storage, before.transient, nonce, before.tombstone)
        paid = state.with_balance(balance)
        is_same = after == before and is_contract and state.head != EMPTY_ARRAY_CID
        written[actor] = paid if is_same else contracts.form(after, paid)
        return end


def _fits(transaction: Transaction) -> bool:
    """Return True if the guest's message can have the transaction's values; type 3 and 4 have a receiver."""
    return (
        (transaction.max_fee | transaction.max_priority_fee | transaction.max_fee_per_blob_gas) >> _FEE_BITS == 0
        and 0 <= transaction.value <= MAX_BALANCE
        and 0 < transaction.gas_limit <= _MAX_U64
        and 0 <= transaction.nonce < _MAX_U64
        and (transaction.to is not None or transaction.type not in (BLOB, SET_CODE))
    )


def _may_fit(transaction: Transaction, fork: Fork, limits: BlockLimits) -> bool:
    """Return False if a transaction breaks one of the rules that revm leaves to the block."""
    return (
        transaction.type in fork.transaction_types
        and min(transaction.gas_limit, fork.execution_gas_cap or _MAX_U64) <= limits.gas
        and (limits.state_gas is None or transaction.gas_limit <= limits.state_gas)
        and (fork.transaction_gas_cap is None or transaction.gas_limit <= fork.transaction_gas_cap)
        and transaction.blob_gas <= limits.blob_gas
        and transaction.chain_id in (None, limits.chain_id)
        and (transaction.to is not None or transaction.type < BLOB)
    )


def _new_guest() -> Guest:
    try:
        return _idle.pop()
    except IndexError:
        return Guest()
