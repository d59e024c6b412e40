"""Calls between actors: request, result, interception, memory and the reason of a failure.

A machine has at most one interceptor (`Hypervisor.interceptor`, read when a message begins). It sees every call of
every message on every runtime, before depth, gas limit, value and dispatch; under Ethereum's rules, creations and calls
that borrow code are none. A call that it handles itself is not charged or rolled back by the machine, and is traced
only through `CallManager.trace_intercepted`.

The block visible to opcodes and actors is the machine's context: `Hypervisor.advance` may change it within a message,
with immediate effect for contracts, under Ethereum's rules after `EthereumCalls.renew_block`.

Linear memory is limited to 512 MiB per instance, and to 2 GiB for all instances on the call stack of a message (ref-fvm
engine and call manager). A runtime requests memory before it grows an instance; the call manager restores the count
when a call ends.

A caller sees only an exit code or revert data. The exits that a failure passed through are recorded separately for
receipts and error messages; actors cannot see them, and no rule depends on them. Source: ref-fvm
fvm/src/call_manager/backtrace.rs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeVar

from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.threads import hold_memory
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from store.cid import Cid
from store.codec import encode


@dataclass(slots=True, unsafe_hash=True)
class Call:
    """A call before its execution. `value` is in attoFIL, `gas_limit` in milligas (None: all remaining gas)."""

    from_: Final[ActorID]
    to: Final[Address]
    method: Final[MethodNumber]
    params: Final[Block | None] = None
    value: Final[TokenAmount] = TokenAmount(0)
    gas_limit: Final[int | None] = None
    read_only: Final[bool] = False
    upgraded_from: Final[Cid | None] = None
    """Previous code of the receiver, if the call enters the `upgrade` function of its new code."""


@dataclass(frozen=True, slots=True)
class LentCode:
    """Rules for accounts that run a contract's code."""

    selfdestruct_pays: bool
    """True if SELFDESTRUCT pays out the account's balance; it never deletes the account."""
    delegate_calls: bool = True
    """True if DELEGATECALL of an account runs its delegate's code."""
    account_frame: tuple[int, bytes] | None = None
    """Depth of the frame in which a contract runs an account's code, and the account's address; None without one."""


class CallResult(NamedTuple):
    """Result of a call for its caller: exit code, returned block and the callee's message.

    `is_plain` is true if the message adds nothing to the exit code.
    """

    exit_code: int
    block: Block | None = None
    message: str = ""
    is_plain: bool = False


Calls = TypeVar("Calls", contravariant=True)
"""`hypervisor.machine.call_manager.CallManager`, which imports this module."""


class Interceptor(Protocol[Calls]):
    """An object that handles calls between callers and callees."""

    def send(self, calls: Calls, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Handle the call, or let it proceed, unchanged or modified, any number of times.

        Raises the errors of `CallManager.send`.
        """

    def on_event(self, calls: Calls, event: StampedEvent) -> None:
        """Receive an event that an actor emitted; the call that emitted it may still fail."""


MAX_INSTANCE_MEMORY = 512 << 20
MAX_TOTAL_MEMORY = 2 << 30


@dataclass(slots=True)
class MemoryBudget:
    """Counter of the linear memory reserved by the active calls, in bytes."""

    used: int = 0

    def grow(self, current: int, wanted: int) -> bool:
        """Reserve memory to grow an instance from `current` to `wanted` bytes; return False if not allowed.

        Raises MemoryExhausted if requests share memory, and none is left.
        """
        used = self.used + wanted - current
        if wanted > MAX_INSTANCE_MEMORY or used > MAX_TOTAL_MEMORY:
            return False
        hold_memory(used)
        self.used = used
        return True


_OWN_FAULTS = frozenset({
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION,
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION,
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW,
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW,
    ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS,
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST,
    ExitCode.EVM_CONTRACT_SELFDESTRUCT_FAILED,
})  # fmt: skip
"""Exit codes of a contract that are never caused by a callee."""

_NO_DATA: Final = (b"", encode(b""))
"""Return values of a contract that reverts without data: no block, or an empty byte string."""


class BacktraceFrame(NamedTuple):
    """A nonzero exit of an actor. `returned` is the block returned to the caller.

    `is_plain` is true if the message adds nothing to the exit code, as for EVM contracts.
    """

    source: Address
    code: int
    message: str
    returned: bytes
    is_plain: bool = False


@dataclass(slots=True)
class Backtrace:
    """Frames of the last failure, innermost first, and the error that caused it.

    `cause` describes a failed syscall or precompile; it is empty if the first frame's actor exited by itself.
    """

    frames: list[BacktraceFrame] = field(default_factory=list)
    cause: str = ""
    text_of: Callable[[Address], str] = str
    """Function that returns the text of an actor's address."""

    @property
    def is_empty(self) -> bool:
        """True if there is no failure that could explain another one."""
        return not self.frames and not self.cause

    @property
    def reason(self) -> str:
        """Description of the original failure; empty if only exit codes are known."""
        if self.cause or not self.frames:
            return self.cause
        return f"{self.text_of(self.frames[0].source)}: {self.frames[0].message}"

    def clear(self) -> None:
        """Discard the failure, when a call begins or succeeds."""
        self.frames.clear()
        self.cause = ""

    def set_cause(self, message: str) -> None:
        """Start a new backtrace with an error."""
        self.clear()
        self.cause = message

    def push_frame(self, frame: BacktraceFrame) -> None:
        """Add an exit to the failure that caused it, or start a new backtrace if it is unrelated."""
        if not self._explains(frame):
            self.clear()
        if not self.is_empty or not (frame.is_plain or not frame.message or frame.code == ExitCode.SYS_OUT_OF_GAS):
            self.frames.append(frame)

    def _explains(self, frame: BacktraceFrame) -> bool:
        if frame.code in _OWN_FAULTS:
            return False
        if frame.code == ExitCode.SYS_OUT_OF_GAS:
            return bool(self.cause)  # otherwise the actor itself ran out of gas
        if frame.code != ExitCode.EVM_CONTRACT_REVERTED or frame.returned in _NO_DATA:
            return True
        # A contract with its own revert data handled the failure, unless it passes on the callee's data.
        return bool(self.frames) and frame.returned == self.frames[-1].returned


@dataclass(frozen=True, slots=True)
class CodeTraits:
    """Format and properties of a runtime's code, for the machine and for tools. The defaults are those of native code.

    `magic` is the prefix of all code of the runtime, by which unknown code is assigned to it; code of a runtime without
    one cannot be installed. With `speaks_abi`, InvokeEVM takes a contract's calldata, and exit codes are those of
    contracts. With `is_contract`, actors also have the state and the methods of a contract
    (`runtimes.evm.contracts`), so that contracts and account queries see their code and slots.
    """

    magic: bytes = b""
    speaks_abi: bool = False
    is_contract: bool = False


NATIVE_TRAITS: Final = CodeTraits()
CONTRACT_TRAITS: Final = CodeTraits(speaks_abi=True, is_contract=True)
"""Properties of the EVM actor's code, whichever runtime executes it."""
