"""The requests of a session's guest: the loop that drives it, and the answers from the state tree.

A transaction stops for what the guest lacks (`protocol.Exit`). `Requests.go_on` answers until an exit: transactions,
calls of the kernel, calls with an observer and frames in Python use it, with answers of their own (`Requests.answers`).
Operations on a stopped transaction are executed again after each answer (`operate`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bridge.ethereum.addresses import EthAddress, unmask_id
from bridge.ethereum.block import BLOCK_HASHES, EthereumBlock
from hypervisor.errors import Fatal, LongExecution, OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.host import NATIVE_CODE, NATIVE_CODE_HASH
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import BlockLimits
from runtimes.evm.revm.accounts import delegated_address, ethereum_address
from runtimes.evm.revm.guest import Guest, Refusal, list_message
from runtimes.evm.revm.held import HeldState
from runtimes.evm.revm.precompiles import run_precompile
from runtimes.evm.revm.protocol import (
    ACCOUNT_ANSWER,
    BLOCK_HASH_ANSWER,
    CODE_ANSWER,
    CODE_REQUEST,
    COUNT,
    PAUSE,
    PRECOMPILE_ANSWER,
    PRECOMPILE_REQUEST,
    SLOT_ANSWER,
    SLOT_REQUEST,
    AccountFlag,
    Answer,
    Command,
    Exit,
    Mode,
)
from runtimes.evm.revm.recording import Recording
from runtimes.evm.revm.transactions import block_hash
from store.trees.kamt import EMPTY_KAMT

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState

_NO_WORD: Final = bytes(32)
_ABSENT: Final = 8
"""Number of absent accounts after which the guest gets the addresses of all accounts."""
_MAX_ADDRESSES: Final = 256
"""Maximum number of addresses of a state that the guest gets."""


class NeedsKernel(Exception):  # not an error: the transaction begins again
    """Raised if a transaction that runs without the kernel meets a native actor."""


class SessionBlock(NamedTuple):
    """The block whose transactions run, and its rules."""

    fork: Fork
    block: EthereumBlock
    limits: BlockLimits
    filecoin_precompiles: Mapping[EthAddress, str]


class KernelCalls(Protocol):
    """The machine's calls of a transaction that calls native actors (`native`)."""

    gas: GasTracker

    def answer(self, request: bytes, /) -> bytes:
        """Run a call for the guest."""

    def base(self, actor: ActorID, state: ActorState | None, /) -> ActorState | None:
        """Return an actor, whose present state is given, as it was before the transaction."""


class Requests:
    """Answers the requests of the transaction in execution."""

    mode = 0
    """Modes of the transaction."""
    native: KernelCalls | None = None
    """The machine's calls, if the kernel takes part in the transaction."""
    on_stop: Callable[[int], None] | None = None
    """Called at each exit, also the last one."""

    def __init__(self, machine: MachineState, held: HeldState, recording: Recording) -> None:
        self.machine, self._held, self.recording = machine, held, recording
        self.block: SessionBlock
        self.guest: Guest
        self.aliases: dict[EthAddress, int] = {}
        """Masked IDs of actors with an Ethereum address, which are other accounts in the guest, and their balance."""
        self._from_tree: Final[Mapping[int, Callable[[bytes], bytes]]] = {
            Exit.ACCOUNT: self.account,
            Exit.SLOT: self.slot,
            Exit.CODE: self.code,
            Exit.BLOCK_HASH: self.block_hash,
            Exit.PRECOMPILE: self.precompile,
        }
        self.answers: dict[int, Callable[[bytes], bytes]] = {}
        """Answers to other requests of the running transaction, by exit."""

    def begin(self, guest: Guest, mode: int) -> None:
        """Answer the requests of another transaction."""
        self.guest, self.mode = guest, mode
        self.end()

    def end(self) -> None:
        """Forget who answers the requests of the transaction."""
        self.answers.clear()
        self.on_stop = None

    # --- the loop ---------------------------------------------------------------------------------------------

    def go_on(self, exit_code: int, end: int) -> bytes:
        """Answer requests until an exit, and return its message. Raises Refusal, NeedsKernel and GuestFailure."""
        guest = self.guest
        while True:
            request = guest.output()
            if self.on_stop is not None:
                self.on_stop(exit_code)
            if exit_code == end:
                return request
            exit_code = guest.call(Command.ANSWER, self.answer(exit_code, request))

    def answer_and_go_on(self, answer: bytes, end: int) -> bytes:
        """Give the guest an answer, and answer requests until an exit, as `go_on` does."""
        return self.go_on(self.guest.call(Command.ANSWER, answer), end)

    def operate(self, message: bytes) -> bytes:
        """Execute operations in the guest, and return their output. Raises NeedsKernel and GuestFailure."""
        guest = self.guest
        while exit_code := guest.call(Command.OPERATE, message):  # a value is missing: they are executed again
            guest.call(Command.ANSWER, self.answer(exit_code, guest.output()))
        return guest.output()

    def answer(self, exit_code: int, request: bytes) -> bytes:
        """Return the answer to a request."""
        short = self.machine.short
        if short is not None:
            if exit_code == Exit.PRECOMPILE or (exit_code == Exit.PAUSE and not PAUSE.read(request).has_steps):
                raise LongExecution("a precompile, or a frame, may run for long")
            short.check()
        read = self._from_tree.get(exit_code)
        if read is not None:
            tree = self.machine.state_tree
            held, tree.held = tree.held, None  # the tree is read as it is written
            try:
                return read(request)
            finally:
                tree.held = held
        answer = self.answers.get(exit_code)
        if answer is not None:
            return answer(request)
        match exit_code:
            case Exit.PAUSE:
                return self.pause(request)
            case Exit.RECORD_IS_LARGE:
                self.recording.report(self.guest)
                return COUNT.pack_values(Answer.CONTINUE)
            case Exit.INVALID:
                raise Refusal(request.decode())
            case Exit.NATIVE:
                raise self.kernel_needed()
        raise Fatal(f"the EVM engine stops for a reason that has no answer here: exit {exit_code}")

    def kernel_needed(self) -> NeedsKernel:
        """Return the exception for a call of a native actor. Raises LongExecution if the thread has no time."""
        if self.machine.short is not None:
            raise LongExecution("a native actor may run for long")
        return NeedsKernel()

    def check_interrupt(self) -> None:
        """Raise KeyboardInterrupt for an interrupted thread that waits for a native actor."""
        if self.native is not None and self.native.gas.stopped:
            raise KeyboardInterrupt

    def report_stop(self) -> None:
        """Give the tracer, if there is one, the events until a stop."""
        if self.mode & Mode.RECORD:
            self.recording.report_stop(self.guest)

    # --- the answers ------------------------------------------------------------------------------------------

    def pause(self, request: bytes) -> bytes:
        """Compile hot code, and go on."""
        self.check_interrupt()
        self.guest.compile(request, self.block.fork)
        return COUNT.pack_values(Answer.PAUSE)

    def account(self, request: bytes) -> bytes:
        """Return an account. Raises NeedsKernel for one that is not a contract's or a user's."""
        address, native = EthAddress(request), self.native
        actor, state = self.find(address)
        flags, contracts = 0, self._held.contracts
        if self.block.block.filecoin_addresses:
            masked = unmask_id(address)
            if masked is not None and actor is None:
                actor, flags = masked, AccountFlag.NATIVE
                state = self.machine.state_tree.get_actor(masked)
            elif address in self.block.filecoin_precompiles and (state is None or state.code != contracts.evm_code):
                flags = AccountFlag.PRECOMPILE
        codes = self.machine.manifest.ethereum_codes
        if state is not None and state.code not in codes:
            flags |= AccountFlag.NATIVE
        if native is None:
            if flags:
                raise self.kernel_needed()
        elif actor is not None:
            state = native.base(actor, state)
        if actor is None or state is None:
            absent = ACCOUNT_ANSWER.pack_values(Answer.ACCOUNT, address, flags, _NO_WORD, 0, EMPTY_CODE_HASH)
            return absent + self._addresses() if native is None else absent
        flags |= AccountFlag.EXISTS
        nonce, code_hash = state.nonce, EMPTY_CODE_HASH
        if state.code == contracts.evm_code:
            contract = contracts.of(state)
            nonce, code_hash = contract.nonce, contract.bytecode_hash
            flags |= 0 if contract.storage == EMPTY_KAMT else AccountFlag.HAS_SLOTS
        elif state.code not in codes:
            code_hash = contracts.native_code(state)[1]
        self._held.actors[address] = actor
        own = None if state.delegated_address is None or native is None else ethereum_address(state.delegated_address)
        if own is not None and own != address:
            self.aliases[address] = state.balance
        balance = state.balance.to_bytes(32, "big")
        return ACCOUNT_ANSWER.pack_values(Answer.ACCOUNT, address, flags, balance, nonce, code_hash)

    def _addresses(self) -> bytes:
        """Return the addresses of all accounts, if the guest asks often for others and they are few."""
        self._held.absent += 1
        if self._held.absent != _ABSENT:
            return b""
        found = self.machine.state_tree.addresses(_MAX_ADDRESSES)
        return b"" if found is None else list_message(filter(None, map(ethereum_address, found)))

    def slot(self, request: bytes) -> bytes:
        """Return a slot's word, and for zero how many of the slots around it are zero, too."""
        address, slot = SLOT_REQUEST.unpack_from(request)
        if self.mode & Mode.SYSTEM and address == BLOCK_HASHES:  # not read: a fork's node may be away
            return SLOT_ANSWER.pack_values(Answer.SLOT, address, slot, _NO_WORD, 0)
        words, number = self._held.contracts.words(self._existing(address)), int.from_bytes(slot, "big")
        word = 0 if words is None else words.get(number)
        bits = 0 if word or words is None else words.absent_bits(number)
        return SLOT_ANSWER.pack_values(Answer.SLOT, address, slot, word.to_bytes(32, "big"), bits)

    def code(self, request: bytes) -> bytes:
        """Return the code of an account."""
        address, code_hash = CODE_REQUEST.read(request)
        contracts, code = self._held.contracts, NATIVE_CODE
        if code_hash != NATIVE_CODE_HASH:
            code = contracts.code_block(contracts.of(self._existing(address)).bytecode)
        return CODE_ANSWER.pack_values(Answer.CODE, code_hash, len(code)) + code

    def block_hash(self, request: bytes) -> bytes:
        """Return the hash of an earlier block."""
        number = int.from_bytes(request, "little")
        return BLOCK_HASH_ANSWER.pack_values(Answer.BLOCK_HASH, number, block_hash(self.machine, number))

    def precompile(self, request: bytes) -> bytes:
        """Run a precompile that the guest does not have."""
        address, limit, _ = PRECOMPILE_REQUEST.read(request)
        fork, gas = self.block.fork, GasTracker(limit)
        try:
            output = run_precompile(fork, fork.precompiles[address], request[PRECOMPILE_REQUEST.size :], gas)
        except (PrecompileFailure, OutOfGas):
            return PRECOMPILE_ANSWER.pack(Answer.PRECOMPILE, success=False, gas_used=0, size=0)
        size = len(output)
        return PRECOMPILE_ANSWER.pack(Answer.PRECOMPILE, success=True, gas_used=gas.used, size=size) + output

    def find(self, address: EthAddress) -> tuple[ActorID | None, ActorState | None]:
        """Return the actor of an address, and its state; None for one that was never used, or was removed."""
        tree = self.machine.state_tree
        actor = tree.lookup_id(delegated_address(address))
        return actor, None if actor is None else tree.get_actor(actor)

    def _existing(self, address: EthAddress) -> ActorState:
        actor = self._held.actors.get(address)
        state = self.find(address)[1] if actor is None else self.machine.state_tree.get_actor(actor)
        if state is None:
            raise Fatal(f"there is no actor at 0x{address.hex()}")
        return state
