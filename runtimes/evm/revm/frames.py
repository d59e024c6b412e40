"""The frames of a session that Python runs: of another engine, or for a tracer of each instruction as it runs.

The guest (guests/revm/src/frames.rs) stops where a frame begins and where its call has ended. The engine has the
frame's stack and memory; it asks the guest for the instructions that reach beyond them, with their prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final, cast

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmCost, EvmFault
from bridge.gas import SLICE
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.kernel.call import MAX_TOTAL_MEMORY
from hypervisor.tracing import Tracer, with_steps
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
from runtimes.evm.revm.guest import data_message, read_data
from runtimes.evm.revm.protocol import (
    COUNT,
    FRAME_END,
    FRAME_REQUEST,
    FRAME_START,
    FRAME_STOP,
    FRAME_WORD,
    GAS,
    Answer,
    Exit,
    InstructionResult,
    Stop,
)
from runtimes.evm.revm.requests import Requests

_RESULTS: Final = {
    Status.SUCCESS: InstructionResult.RETURN,
    Status.REVERT: InstructionResult.REVERT,
    Status.UNDEFINED_INSTRUCTION: InstructionResult.OPCODE_NOT_FOUND,
    Status.READ_ONLY: InstructionResult.STATE_CHANGE_DURING_STATIC_CALL,
    Status.INVALID_INSTRUCTION: InstructionResult.INVALID_FE_OPCODE,
    Status.BAD_JUMPDEST: InstructionResult.INVALID_JUMP,
    Status.STACK_UNDERFLOW: InstructionResult.STACK_UNDERFLOW,
    Status.STACK_OVERFLOW: InstructionResult.STACK_OVERFLOW,
    Status.ILLEGAL_MEMORY_ACCESS: InstructionResult.OUT_OF_OFFSET,
}
"""revm's `InstructionResult` by the status of a frame."""
_CALLCODE: Final = 0xF2
_ALL_GAS: Final = (1 << 64) - 1


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
    def steps(self) -> Tracer | None:
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
        stop = FRAME_STOP.read(data)
        is_halted = stop.reason == Stop.HALTED
        if is_halted and COUNT.read(data, FRAME_STOP.size).count != InstructionResult.SELF_DESTRUCT:
            raise OutOfGas("out of gas")
        self.gas.set(stop.gas)
        self.refund = stop.refund
        if is_halted:
            return 0, b""
        word, size = FRAME_WORD.read(data, FRAME_STOP.size)
        return int.from_bytes(word, "big"), data[len(data) - size :] if size else b""

    def asked(self, opcode: int, operands: Sequence[int], memory: bytes) -> bytes:
        """Return the request for an instruction, with the gas before the engine has charged its static price."""
        gas = self.gas.left + self._fork.opcodes[opcode].gas
        parts = [FRAME_REQUEST.pack_values(Answer.FRAME_EXECUTE, opcode, gas, len(operands))]
        parts += [word.to_bytes(32, "big") for word in reversed(operands)]
        return b"".join((*parts, data_message(memory)))


class PythonFrames:
    """The frames of one transaction."""

    def __init__(self, requests: Requests, new_engine: Callable[[EngineRules], Engine]) -> None:
        self._requests, self._new_engine = requests, new_engine
        self._fork = requests.block.fork
        self._open: list[tuple[Engine, SessionHost]] = []
        self.steps = with_steps(requests.machine.tracer)

    @property
    def refund(self) -> int:
        """The transaction's refund counter."""
        return sum(host.refund for _, host in self._open)

    def check(self) -> None:
        """Raise KeyboardInterrupt if the thread that waits for this one was interrupted."""
        self._requests.check_interrupt()

    def check_memory(self) -> None:
        """Raise OutOfGas if the frames have more memory than the machine's limit."""
        if sum(host.memory_words for _, host in self._open) << 5 > MAX_TOTAL_MEMORY:
            raise OutOfGas(f"the memory of frames exceeds {MAX_TOTAL_MEMORY} bytes")

    def execute(self, request: bytes) -> bytes:
        """Let the guest execute an instruction of the innermost frame."""
        requests = self._requests
        data = requests.answer_and_go_on(request, Exit.FRAME)
        requests.report_stop()
        return data

    def answer(self, data: bytes) -> bytes:
        """Go on with the innermost frame, or begin one, and return what it asks the guest for."""
        self._requests.report_stop()
        kind, depth, gas, refund = FRAME_STOP.read(data)
        if kind == Stop.BEGUN:
            return self._run(self._begin(depth, gas, data, FRAME_STOP.size))
        engine, host = self._open[-1]
        if kind == Stop.HALTED:
            self._step(EvmFault(OutOfGas.__name__))
            return self._end(InstructionResult.OUT_OF_GAS)
        host.gas.set(gas)
        if kind == Stop.CALLS:
            self._step(EvmCost(host.before - gas - GAS.read(data, FRAME_STOP.size).gas))
            return COUNT.pack(Answer.CONTINUE)
        host.refund = refund
        word, size = FRAME_WORD.read(data, FRAME_STOP.size)
        output, made = data[len(data) - size :] if size else b"", EthAddress(word[12:])
        return self._run(partial(engine.resume, SubcallOutcome(any(word), output, made if any(word) else None)))

    def _begin(self, depth: int, gas: int, data: bytes, at: int) -> Callable[[], Step]:
        """Return what starts a frame."""
        start = FRAME_START.read(data, at)
        at += FRAME_START.size
        code, (calldata, _) = data[at : at + start.size], read_data(data, at + start.size)
        fork = self._fork
        host = SessionHost(self, depth, fork)
        host.gas.set(gas)
        engine = self._new_engine(fork)
        self._open.append((engine, host))
        addresses, amount = (EthAddress(start.caller), EthAddress(start.address)), int.from_bytes(start.value, "big")
        frame = Frame(fork, _analysed(code), calldata, *addresses, amount, bool(start.is_static))
        return partial(engine.start, frame, cast(Host, host))

    def _run(self, run: Callable[[], Step]) -> bytes:
        try:
            step = run()
        except OutOfGas:
            return self._end(InstructionResult.OUT_OF_GAS)
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
        return FRAME_END.pack(Answer.FRAME_END, result, host.gas.left, len(output)) + output

    def _step(self, event: EvmCost | EvmFault) -> None:
        if self.steps is not None:
            self.steps.step(event)


def reverting(output: bytes) -> bytes:
    """Return the answer that reverts the innermost frame."""
    return FRAME_END.pack(Answer.FRAME_END, InstructionResult.REVERT, _ALL_GAS, len(output)) + output


@lru_cache(maxsize=256)
def _analysed(code: bytes) -> Code:
    return Code(code)
