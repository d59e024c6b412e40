"""The frames of a session that Python runs: of another engine, or for a tracer of each instruction as it runs.

The guest (guests/revm/src/frames.rs) stops where a frame begins and where its call has ended. The engine has the
frame's stack and memory; it asks the guest for the instructions that reach beyond them, with their prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from struct import Struct
from typing import Final, Protocol, cast

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmCost, EvmFault
from bridge.gas import SLICE
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.kernel.call import MAX_TOTAL_MEMORY
from hypervisor.machine.machine_state import MachineState
from hypervisor.tracing import StepTracer, step_tracer
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import (
    CallInputs,
    CallKind,
    Engine,
    EngineRules,
    Frame,
    FrameOutcome,
    FrameStopped,
    Host,
    Status,
    Step,
    SubcallOutcome,
)
from runtimes.evm.contracts.gas_table import words
from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS
from runtimes.evm.forks.forks import Fork
from runtimes.evm.revm.guest import RECORD, Command, Exit, Guest

_BEGUN, _RETURNED, _EXECUTED, _CALLS, _HALTED = range(5)
"""Reasons why a frame stops (`stop` in guests/revm/src/frames.rs)."""
_EXECUTE, _END = 21, 22
"""Answers to a stop (`answer` in guests/revm/src/session.rs); `Exit.FRAME` lets the frame make its call."""
_RETURN, _SELFDESTRUCT, _OUT_OF_GAS = 2, 3, 0x20
_RESULTS: Final = {
    Status.SUCCESS: _RETURN,
    Status.REVERT: 0x10,
    Status.UNDEFINED_INSTRUCTION: 0x26,
    Status.READ_ONLY: 0x28,
    Status.INVALID_INSTRUCTION: 0x29,
    Status.BAD_JUMPDEST: 0x2A,
    Status.STACK_UNDERFLOW: 0x2C,
    Status.STACK_OVERFLOW: 0x2D,
    Status.ILLEGAL_MEMORY_ACCESS: 0x2E,
}
"""revm's `InstructionResult` by the status of a frame."""
_CALLCODE: Final = 0xF2
_ALL_GAS: Final = (1 << 64) - 1

_HEAD: Final = Struct("<IIQq")
_FRAME: Final = Struct("<I20s20s32sI")
_COUNT: Final = Struct("<I")
_WORD: Final = Struct("<32sI")
_GIVEN: Final = Struct("<Q")
_ASKED: Final = Struct("<IIQI")
_ENDED: Final = Struct("<IIQI")


class Session(Protocol):
    """The session of the transaction (`runtimes.evm.revm.session`)."""

    machine: MachineState
    fork: Fork

    def go_on(self, guest: Guest, exit_code: int, mode: int, end: Exit) -> bytes:
        """Answer requests until an exit, and return its message."""

    def replay_now(self, mode: int) -> None:
        """Give the tracer the events until a stop."""

    def check_interrupt(self) -> None:
        """Raise KeyboardInterrupt for an interrupted thread that waits for a native actor."""


class FrameGas:
    """The gas of a frame, granted in slices, between which an interrupt can end the frame."""

    __slots__ = ("_check", "_rest", "remaining")

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.remaining = self._rest = 0

    @property
    def left(self) -> int:
        """All gas that is left."""
        return self.remaining + self._rest

    def set(self, gas: int) -> None:
        self.remaining = min(gas, SLICE)
        self._rest = gas - self.remaining

    def overdraw(self, amount: int) -> None:
        """Grant `amount`, which exceeds the slice. Raises OutOfGas."""
        self._check()
        left = self.left
        if amount > left:
            raise OutOfGas("out of gas")
        self.remaining = max(amount, min(left, SLICE))
        self._rest = left - self.remaining


class SessionHost:
    """The environment of a frame (`runtimes.evm.contracts.engine.EthereumHost`)."""

    def __init__(self, frames: PythonFrames, depth: int, fork: Fork) -> None:
        self._frames, self.depth, self._fork = frames, depth, fork
        self.gas = FrameGas(frames.check)
        self.refund = 0
        """Refunds of this frame, without those of the frames that have called it."""
        self.memory_words = self._memory_price = 0
        self.before = 0
        """Gas before the call that the frame makes."""

    @property
    def steps(self) -> StepTracer | None:
        return self._frames.steps

    def get_refund(self) -> int:
        return self._frames.refund

    def get_gas_left(self) -> int:
        return self.gas.left

    def grow_memory(self, size: int) -> int:
        """Charge for memory up to `size` bytes; more than the machine's limit (512 MiB) is out of gas as well."""
        count = words(size)
        if count > self.memory_words:
            price = self._fork.gas.memory(count)
            cost, self._memory_price = price - self._memory_price, price
            if cost > self.gas.remaining:
                self.gas.overdraw(cost)
            self.gas.remaining -= cost
            self.memory_words = count
            self._frames.check_memory()
        return count << 5

    def execute(self, opcode: int, operands: Sequence[int], memory: bytes = b"") -> tuple[int, bytes]:
        data = self._frames.execute(self.asked(opcode, operands, memory))
        kind, _, gas, refund = _HEAD.unpack_from(data)
        is_halted = kind == _HALTED
        if is_halted and _COUNT.unpack_from(data, _HEAD.size)[0] != _SELFDESTRUCT:
            raise OutOfGas("out of gas")
        self.gas.set(gas)
        self.refund = refund
        if is_halted:
            return 0, b""
        word, size = _WORD.unpack_from(data, _HEAD.size)
        return int.from_bytes(word, "big"), data[len(data) - size :] if size else b""

    def asked(self, opcode: int, operands: Sequence[int], memory: bytes) -> bytes:
        """Return the request for an instruction, with the gas before the engine has charged its static price."""
        gas = self.gas.left + self._fork.opcodes[opcode].gas
        parts = [_ASKED.pack(_EXECUTE, opcode, gas, len(operands))]
        parts += [word.to_bytes(32, "big") for word in reversed(operands)]
        return b"".join((*parts, _COUNT.pack(len(memory)), memory))


class PythonFrames:
    """The frames of one transaction."""

    def __init__(self, session: Session, guest: Guest, new_engine: Callable[[EngineRules], Engine]) -> None:
        self._session, self._guest, self._new_engine = session, guest, new_engine
        self._mode = 0
        self._open: list[tuple[Engine, SessionHost]] = []
        tracer = session.machine.tracer
        self.steps = None if tracer is None else step_tracer(tracer)

    @property
    def refund(self) -> int:
        """The transaction's refund counter."""
        return sum(host.refund for _, host in self._open)

    def check(self) -> None:
        """Raise KeyboardInterrupt if the thread that waits for this one was interrupted."""
        self._session.check_interrupt()

    def check_memory(self) -> None:
        """Raise OutOfGas if the frames have more memory than the machine's limit."""
        if sum(host.memory_words for _, host in self._open) << 5 > MAX_TOTAL_MEMORY:
            raise OutOfGas(f"the memory of frames exceeds {MAX_TOTAL_MEMORY} bytes")

    def execute(self, request: bytes) -> bytes:
        """Let the guest execute an instruction of the innermost frame."""
        guest, session = self._guest, self._session
        data = session.go_on(guest, guest.call(Command.ANSWER, request), self._mode, Exit.FRAME)
        self._report()
        return data

    def _report(self) -> None:
        """Give the tracer the events until now."""
        if self._mode & RECORD:
            self._session.replay_now(self._mode)

    def answer(self, data: bytes, mode: int) -> bytes:
        """Go on with the innermost frame, or begin one, and return what it asks the guest for."""
        self._mode = mode
        self._report()
        kind, depth, gas, refund = _HEAD.unpack_from(data)
        if kind == _BEGUN:
            return self._run(self._begin(depth, gas, data, _HEAD.size))
        engine, host = self._open[-1]
        if kind == _HALTED:
            self._step(EvmFault(OutOfGas.__name__))
            return self._end(_OUT_OF_GAS)
        host.gas.set(gas)
        if kind == _CALLS:
            self._step(EvmCost(host.before - gas - _GIVEN.unpack_from(data, _HEAD.size)[0]))
            return _COUNT.pack(Exit.FRAME)
        host.refund = refund
        word, size = _WORD.unpack_from(data, _HEAD.size)
        output, made = data[len(data) - size :] if size else b"", EthAddress(word[12:])
        return self._run(partial(engine.resume, SubcallOutcome(any(word), output, made if any(word) else None)))

    def _begin(self, depth: int, gas: int, data: bytes, at: int) -> Callable[[], Step]:
        """Return what starts a frame."""
        static, caller, address, value, size = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        code, calldata = data[at : at + size], data[at + size + _COUNT.size :]
        fork = self._session.fork
        host = SessionHost(self, depth, fork)
        host.gas.set(gas)
        engine = self._new_engine(fork)
        self._open.append((engine, host))
        amount = int.from_bytes(value, "big")
        frame = Frame(fork, _analysed(code), calldata, EthAddress(caller), EthAddress(address), amount, bool(static))
        return partial(engine.start, frame, cast(Host, host))

    def _run(self, run: Callable[[], Step]) -> bytes:
        try:
            step = run()
        except OutOfGas:
            return self._end(_OUT_OF_GAS)
        except FrameStopped as stopped:
            return self._end(_RESULTS[Status.REVERT], stopped.output)
        if isinstance(step, FrameOutcome):
            return self._end(_RESULTS[step.status], step.data)
        host, number = self._open[-1][1], OPCODE_NUMBERS.get
        if isinstance(step, CallInputs):
            memory, amount = step.data, [step.value] if step.kind in (CallKind.CALL, CallKind.CALLCODE) else []
            opcode = number(step.kind.name, _CALLCODE)
            operands = [step.gas, int.from_bytes(step.address, "big"), *amount, 0, len(memory), 0, 0]
        else:
            memory, salt = step.init_code, [] if step.salt is None else [step.salt]
            opcode, operands = number("CREATE2" if salt else "CREATE", 0), [step.value, 0, len(memory), *salt]
        host.before = host.gas.left
        return host.asked(opcode, operands, memory)

    def _end(self, result: int, output: bytes = b"") -> bytes:
        if not self._open:
            raise Fatal("a frame has ended that has not begun")
        host = self._open.pop()[1]
        return _ENDED.pack(_END, result, host.gas.left, len(output)) + output

    def _step(self, event: EvmCost | EvmFault) -> None:
        if self.steps is not None:
            self.steps.step(event)


def reverting(output: bytes) -> bytes:
    """Return the answer that reverts the innermost frame."""
    return _ENDED.pack(_END, _RESULTS[Status.REVERT], _ALL_GAS, len(output)) + output


@lru_cache(maxsize=256)
def _analysed(code: bytes) -> Code:
    return Code(code)
