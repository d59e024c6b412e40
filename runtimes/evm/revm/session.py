"""The state session: transactions of a machine in the guest with revm, which holds the machine's state between them.

A session has objects with one job each: the state that the guest holds (`held`), the answers to its requests, with the
loop that drives it (`requests`), what it has changed (`writes`), and its record for the tracer (`recording`). Calls of
native actors run within a transaction (`native`), frames of another engine in Python (`frames`), and calls with an
observer beside transactions (`observed`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, cast, runtime_checkable

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import SYSTEM_ADDRESS, EthereumBlock
from bridge.ethereum.execution import HeldAccount
from bridge.ethereum.transactions import BLOB, SET_CODE, Transaction
from hypervisor.context import ExternError, Externs, MachineContext
from hypervisor.errors import Fatal, InvalidInput, LongExecution
from hypervisor.kernel.call import MAX_TOTAL_MEMORY
from hypervisor.state.state_tree import StateTree
from hypervisor.types import MAX_BALANCE, ChainEpoch
from runtimes.evm.contracts.engine import Engine, EngineRules
from runtimes.evm.forks.forks import Fork, code_limits
from runtimes.evm.forks.validation import BlockLimits, gas_price, required_gas, with_supported_type
from runtimes.evm.revm.calls import filecoin_precompiles
from runtimes.evm.revm.frames import PythonFrames
from runtimes.evm.revm.guest import (
    Ended,
    Guest,
    GuestFailure,
    Refusal,
    call_message,
    list_message,
    read_end,
    transaction_message,
)
from runtimes.evm.revm.guest_rules import account_spec, fork_message
from runtimes.evm.revm.held import HeldState, is_worn
from runtimes.evm.revm.native import NativeCalls
from runtimes.evm.revm.protocol import BLOCK_VALUES, NO_LIMIT, RULES, ChainTime, Command, Exit, Mode
from runtimes.evm.revm.recording import Recording
from runtimes.evm.revm.requests import NeedsKernel, Requests, SessionBlock
from runtimes.evm.revm.results import refusal_of, result_of
from runtimes.evm.revm.transactions import (
    Entry,
    TransactionResult,
    block_limits,
    block_of,
    block_randomness,
    fork_of,
    transaction_environment,
)
from runtimes.evm.revm.writes import Writes

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState

_NAME: Final = "ethereum session"
PAUSE_STEPS: Final = 20_000
"""Number of steps (`Control` in the guest) after which an execution pauses, and of jumpdests until code is hot."""
_SHORT: Final = 10_000
"""Number of steps after which an execution is too long for its thread."""
RECORD_SIZE: Final = 1 << 20
"""Bytes of a transaction's record after which the tracer gets them."""
_MAX_U64: Final = (1 << 64) - 1
_FEE_BITS: Final = 128

_Rules = tuple[Fork, int, int | None, frozenset[str] | None]


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
    return session_of(machine).held.read(address)


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
        self.machine, self._engines = machine, engines
        self.runs_in_guest = engines.runs_in_guest
        """True if the guest runs frames, unless a tracer must see each instruction when it runs."""
        self.held = HeldState(machine, self._write)
        self.recording = Recording(machine, self.held)
        self.requests = Requests(machine, self.held, self.recording)
        self.accesses = b""
        """Accesses of the newest transaction that was kept with `Mode.ACCESS_LIST` (`executor.AccessRecorder`)."""
        self.blob_base_fee: int | None = None
        """Blob base fee that contracts see instead of the block's."""
        self._rules: _Rules | None = None
        """Origin of the guest's rules."""
        self._context: MachineContext | None = None
        self._externs: Externs | None = None
        """Origin of the block that the guest has."""
        self.block: SessionBlock

    @property
    def fork(self) -> Fork:
        """The fork whose rules hold."""
        return self.block.fork

    # --- transactions -----------------------------------------------------------------------------------------

    def transact(
        self, transaction: Transaction, sender: EthAddress, mode: int, limits: BlockLimits | None = None,
        entry: Entry | None = None,
    ) -> TransactionResult:  # fmt: skip
        """Run a transaction.

        The machine's tracer, if there is one, gets the events in parts. `limits` are the block's remaining limits;
        default: a whole block's. `entry` is the first call of a message that is not a transaction. Raises
        InvalidTransaction, without effect.
        """
        guest, machine = self.begin(), self.machine
        fork, _, whole, _ = self.block
        limits = limits or whole
        if not mode & Mode.CHECKED and transaction.type not in fork.transaction_types:
            transaction = with_supported_type(fork, transaction)
        if not mode & Mode.PAID and transaction.max_priority_fee > transaction.max_fee:
            transaction = replace(transaction, max_priority_fee=transaction.max_fee)
        may_fit = not mode & Mode.CHECKED or _may_fit(transaction, fork, limits)
        if not (mode & Mode.SYSTEM or (may_fit and fits(transaction))):
            raise refusal_of(transaction, sender, self.held.read(sender), fork, mode, limits, "its values")
        if mode & Mode.KEEP and machine.state_tree.transactions:
            mode |= Mode.UNDOABLE
        if entry is not None:
            mode |= Mode.KERNEL_FIRST
        steps = NO_LIMIT
        if machine.short is not None:
            steps, mode = _SHORT, mode | Mode.SHORT
        is_free = mode & (Mode.SYSTEM | Mode.IMPLICIT) or machine.tracer is None
        mode = self.begin_run(guest, mode, 0 if is_free else required_gas(transaction, fork, sender)[0])
        message = transaction_message(transaction, sender, mode, steps, machine.context.chain_id)
        price = gas_price(transaction, machine.context.base_fee) if mode & Mode.PAID else 0
        blob_fee = 0
        if transaction.blob_hashes and mode & Mode.PAID and (mode & Mode.CHECKED or transaction.max_fee_per_blob_gas):
            blob_fee = transaction.blob_gas * whole.blob_base_fee
        burnt = min(price, machine.context.base_fee), blob_fee
        is_live = mode & Mode.PYTHON_FRAMES and mode & Mode.RECORD  # the tracer gets nothing twice
        record = None
        try:
            try:
                if entry is not None or is_live or mode & Mode.INTERCEPTS:
                    raise self.requests.kernel_needed()
                ended, record = self._execute(guest, message, mode, *burnt)
            except NeedsKernel:
                return self._with_kernel(transaction, sender, message, mode, price, burnt, entry)
            result = result_of(machine, self.held, ended, transaction, sender, fork, mode, price, None)
        except Refusal as refusal:
            account, reason = self.held.read(sender), str(refusal)
            raise refusal_of(transaction, sender, account, fork, mode, limits, reason) from None
        if record is not None:
            self.recording.replay.run(*record)
        return result

    def _with_kernel(
        self, transaction: Transaction, sender: EthAddress, message: bytes, mode: int, price: int,
        burnt: tuple[int, int], entry: Entry | None,
    ) -> TransactionResult:  # fmt: skip
        """Run a transaction that calls native actors, and write its changes.

        What the guest holds is forgotten. Raises Refusal.
        """
        tree, requests, recording = self.machine.state_tree, self.requests, self.recording
        tree.settle()
        guest = self.begin()
        requests.begin(guest, mode)
        if mode & Mode.PYTHON_FRAMES:
            self._begin_frames()
        tree.engine = None
        mark, is_kept = tree.begin(), False
        if mode & Mode.RECORD:
            recording.replay.begin_again()
        try:
            native = self.begin_kernel(transaction, sender, price, entry)
            native.on_fresh_stack(lambda: requests.go_on(guest.call(Command.TRANSACT, message), Exit.DONE))
            ended = read_end(guest.output())
            record = recording.take(guest) if mode & Mode.RECORD else None
            if mode & Mode.KEEP:
                native.settle()
                guest.call(Command.KEEP)
                self.accesses = guest.output()
                guest.call(Command.DRAIN)
                self._write(tree, guest.output(), ended.head.gas_used * burnt[0] + burnt[1])
            result = result_of(self.machine, self.held, ended, transaction, sender, self.fork, mode, price, native)
            if record is not None:
                recording.replay.run(*record)
            is_kept = bool(mode & Mode.KEEP)
            return result
        except GuestFailure as failure:
            self.held.release()
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        finally:
            self.end_kernel()
            tree.commit() if is_kept else tree.rollback(mark)

    def begin_kernel(
        self, transaction: Transaction, sender: EthAddress, price: int, entry: Entry | None = None
    ) -> NativeCalls:
        """Let the kernel take part in the transaction that begins, with a tree that has all changes."""
        requests, blob_base_fee = self.requests, self.block.limits.blob_base_fee
        environment = transaction_environment(self.machine, transaction, sender, price, blob_base_fee)
        requests.aliases.clear()
        native = requests.native = NativeCalls(requests, transaction, sender, environment, entry)
        requests.answers[Exit.NATIVE] = native.answer
        return native

    def end_kernel(self) -> None:
        """Forget what the guest holds after a transaction in which the kernel took part."""
        self.requests.native = None
        self.requests.end()
        self.held.leave()

    def call_system(self, to: EthAddress, data: bytes, gas: int, mode: int) -> bool:
        """Call a contract from the system address, without a result; return False, without effect, if it cannot."""
        guest = self.begin()
        mode |= Mode.KEEP | Mode.SYSTEM | (Mode.UNDOABLE if self.machine.state_tree.transactions else 0)
        self.requests.begin(guest, mode)
        if not self.runs_in_guest:
            mode = self.requests.mode = mode | self._begin_frames()
        try:
            self._execute(guest, call_message(SYSTEM_ADDRESS, to, 0, data, gas, mode, NO_LIMIT), mode, 0, 0)
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
            ended = read_end(self.requests.go_on(guest.call(Command.TRANSACT, message), Exit.DONE))
            record = self.recording.take(guest) if mode & Mode.RECORD else None
            if mode & Mode.KEEP:
                self.held.keep(guest, burnt + ended.head.gas_used * burnt_per_gas, bool(mode & Mode.UNDOABLE))
                if mode & Mode.ACCESS_LIST:
                    self.accesses = guest.output()
            is_running = False
            return ended, record
        except GuestFailure as failure:  # it lacks memory, or has a defect
            is_running = False
            self.held.close_after(failure)
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        finally:
            if is_running:
                self.held.abandon(guest)

    # --- how a transaction runs -------------------------------------------------------------------------------

    def begin_run(self, guest: Guest, mode: int, intrinsic: int = 0) -> int:
        """Begin a transaction; return its modes, with those of frames and of the tracer. Raises LongExecution.

        `intrinsic` is the gas that the tracer sees before the first call.
        """
        tracer, requests = self.machine.tracer, self.requests
        requests.begin(guest, mode)
        if not self.runs_in_guest or not (tracer is None or tracer.takes_record):
            mode |= self._begin_frames()
        if tracer is not None:
            mode |= self.recording.begin(tracer, self.fork, mode, intrinsic)
        requests.mode = mode
        return mode

    def _begin_frames(self) -> int:
        """Let Python run the frames of the transaction that begins; return the mode for it. Raises LongExecution."""
        if self.machine.short is not None:
            raise LongExecution("frames of this engine may run for long")
        frames = PythonFrames(self.requests, self._engines.frame_engine)
        self.requests.answers[Exit.FRAME] = frames.answer
        return Mode.PYTHON_FRAMES

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Let the machine have another session while a call is running in this one."""
        kept, tree = self.machine.kept, self.machine.state_tree
        del kept[_NAME]
        try:
            yield
        finally:
            tree.settle()
            other = kept.get(_NAME)
            if other is not None:
                other.held.release()
            kept[_NAME] = self
            tree.engine = None

    # --- state, block and rules -------------------------------------------------------------------------------

    def begin(self) -> Guest:
        """Return the guest with the machine's state and block. Raises InvalidInput for a fork that it cannot have."""
        machine, held = self.machine, self.held
        guest = held.guest
        if guest is not None:
            if is_worn(guest):
                machine.state_tree.settle()
                held.snapshots.write_all()
                if guest.has_campaign:
                    guest.memory_before = guest.memory_bytes
                    held.leave()
                else:
                    held.release()
            elif self._context is machine.context and self._externs is machine.externs and held.is_current:
                return guest
        return self._begin_block()

    def _begin_block(self) -> Guest:
        machine, held = self.machine, self.held
        block = block_of(machine)
        rules = self._rules_of(block)
        fork = rules[0]
        if held.guest is None:
            self._rules = None
        # What is held was changed by the rules of its fork.
        is_new = not held.is_current or (self._rules is not None and self._rules[0] != fork)
        filecoin = filecoin_precompiles(machine.context.network.evm) if block.filecoin_addresses else {}
        rules_message = None if rules == self._rules else self._rules_message(fork, block, filecoin)
        limits = block_limits(machine, block, fork)
        block_message = self._block_message(block, limits.blob_base_fee)
        self._context = None
        guest = held.open()
        try:
            if is_new:
                held.begin()
                self.recording.forget()
            if rules_message is not None:
                self._rules = None
                guest.set_rules(*rules_message)
            guest.call(Command.BLOCK, block_message)
        except GuestFailure as failure:
            held.close_after(failure)
            raise Fatal(f"the EVM engine failed: {failure}") from failure
        held.trim()
        self._rules = rules
        self.block = self.requests.block = SessionBlock(fork, block, limits, filecoin)
        self._context, self._externs = machine.context, machine.externs
        return guest

    def renew_block(self, guest: Guest) -> bool:
        """Give a running transaction the machine's block; return False if its rules are others."""
        machine = self.machine
        block = block_of(machine)
        rules = self._rules_of(block)
        if self._rules is None or rules[0] != self._rules[0]:
            return False
        filecoin = self.block.filecoin_precompiles
        try:
            if rules != self._rules:
                guest.set_rules(*self._rules_message(rules[0], block, filecoin))
            guest.call(Command.BLOCK, self._block_message(block, block_limits(machine, block, rules[0]).blob_base_fee))
        except InvalidInput:
            self._context = None
            return False
        self._rules, self._context = rules, machine.context
        self.block = self.requests.block = self.block._replace(block=block)
        return True

    def set_time(self, time: ChainTime) -> None:
        """Give the machine the chain ID, and the block's number and time, that the guest has."""
        context, chain_id = self.machine.context, time.chain_id
        number, timestamp = (int.from_bytes(word, "big") for word in (time.number, time.timestamp))
        if (context.chain_id, context.epoch, context.timestamp) != (chain_id, number, timestamp):
            self.machine.advance(epoch=ChainEpoch(number), timestamp=timestamp, chain_id=chain_id)
            self._context = self.machine.context
            if self._rules is not None:
                self._rules = self._rules[0], chain_id, *self._rules[2:]

    def forget_block(self) -> None:
        """Tell the guest the machine's block again before the next transaction."""
        self._context = None

    def _rules_of(self, block: EthereumBlock) -> _Rules:
        """Return the origin of the guest's rules: fork, chain ID, code limit, features of Filecoin's precompiles."""
        context = self.machine.context
        features = context.network.evm if block.filecoin_addresses else None
        return fork_of(self.machine, block), context.chain_id, block.code_limit, features

    def _rules_message(
        self, fork: Fork, block: EthereumBlock, filecoin: Mapping[EthAddress, str]
    ) -> tuple[bytes, bytes]:
        """Return the fork's rules and the others. Raises InvalidInput."""
        code, init_code = code_limits(block, fork)
        blobs = fork.blobs
        head = RULES.pack(
            account_spec=account_spec(fork),
            chain_id=self.machine.context.chain_id,
            memory_limit=MAX_TOTAL_MEMORY,
            code_limit=NO_LIMIT if code is None else code,
            init_code_limit=NO_LIMIT if init_code is None else init_code,
            max_blobs=blobs.maximum if blobs.per_transaction is None else blobs.per_transaction,
            gas_cap=fork.execution_gas_cap or fork.transaction_gas_cap or 0,
            pause_steps=PAUSE_STEPS,
            record_size=RECORD_SIZE,
        )
        warm = *filecoin, *block.removed_precompiles
        return fork_message(fork), b"".join((head, list_message(fork.precompiles), list_message(warm)))

    def _block_message(self, block: EthereumBlock, blob_base_fee: int) -> bytes:
        machine, context = self.machine, self.machine.context
        blob_base_fee = blob_base_fee if self.blob_base_fee is None else self.blob_base_fee
        try:
            return BLOCK_VALUES.pack(
                number=context.epoch.to_bytes(32, "big"),
                timestamp=context.timestamp.to_bytes(32, "big"),
                gas_limit=min(block.gas_limit, _MAX_U64),
                base_fee=context.base_fee,
                blob_base_fee=blob_base_fee.to_bytes(16, "little"),
                coinbase=block.coinbase,
                randomness=block_randomness(machine, block),
                slot_number=block.slot_number,
            )
        except ExternError as error:
            raise InvalidInput(f"the block has no randomness, and its machine has none for it: {error}") from error
        except (OverflowError, struct.error) as error:
            words = f"base fee {context.base_fee}, blob base fee {blob_base_fee}, slot {block.slot_number}"
            raise InvalidInput(f"the block's values exceed 64 bits, or 128 for blobs: {words}") from error

    def _write(self, tree: StateTree, changes: bytes, burnt: int) -> None:
        """Write drained changes to a tree, and burn an amount."""
        held, has_masked_ids = self.held, self.block.block.filecoin_addresses
        writes = Writes(self.machine, held.contracts, held.actors, self.requests.aliases, has_masked_ids)
        writes.write(tree, changes, burnt)


def fits(transaction: Transaction) -> bool:
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
