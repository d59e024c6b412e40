"""The interpreter loop: fetch, charge static gas, call the opcode's function, until the frame ends or makes a call."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from eth.abc import OpcodeAPI
from eth.exceptions import FullStack, Halt, InsufficientStack, InvalidJumpDestination, OutOfBoundsRead, Revert, VMError
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.stack import to_int

from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.tracing import Detail, Tracer
from runtimes.evm.contracts.engine import (
    CallInputs,
    CreateInputs,
    EngineRules,
    Frame,
    FrameOutcome,
    Host,
    Status,
    Step,
    SubcallOutcome,
)
from runtimes.evm.frames.py_evm_opcodes import ETHEREUM, OPCODE_FUNCTIONS, FrameComputation, FrameError, undefined

Function = Callable[[FrameComputation], CallInputs | CreateInputs | None]
Row = tuple[int, Function]

_STOP = 0

_STATUS_OF_ERROR = {
    InsufficientStack: Status.STACK_UNDERFLOW,
    FullStack: Status.STACK_OVERFLOW,
    OutOfBoundsRead: Status.ILLEGAL_MEMORY_ACCESS,
    InvalidJumpDestination: Status.BAD_JUMPDEST,
}


_FAMILIES: Mapping[str, Mapping[str, Function]] = MappingProxyType({"filecoin": OPCODE_FUNCTIONS, "ethereum": ETHEREUM})


class PyEvmTable:
    """Price and function of each of the 256 opcodes under one set of rules, shared by all frames."""

    def __init__(self, rules: EngineRules) -> None:
        own = _FAMILIES[rules.family]
        rows: list[Row] = [(0, undefined)] * 256
        for number, opcode in rules.opcodes.items():
            rows[number] = (opcode.gas, own.get(opcode.name) or _function_of(CANCUN_OPCODES[number]))
        self.rows = tuple(rows)
        self._names = {number: opcode.name for number, opcode in rules.opcodes.items()}

    def step(self, computation: FrameComputation, position: int, opcode: int) -> EvmStep:
        """Return the event of an instruction that is about to run."""
        host = computation.host
        stack = tuple(to_int(value) for value in computation._stack.values)  # type: ignore[attr-defined]  # py-evm declares an interface without it
        return EvmStep(
            pc=position,
            opcode=opcode,
            name=self._names.get(opcode, f"opcode {opcode:#x} not defined"),
            gas=host.gas.left,
            stack=stack,
            memory=computation.memory_read_bytes(0, len(computation._memory)),
            return_data=computation.return_data,
            refund=host.get_refund(),
        )

    def engine(self) -> "PyEvmEngine":
        return PyEvmEngine(self)


def _function_of(opcode: OpcodeAPI) -> Function:
    """Return py-evm's function without its price."""
    function: Function = opcode.logic_fn  # type: ignore[attr-defined]  # every plain opcode of py-evm has it
    return function


class PyEvmEngine:
    """Executes one frame; see `runtimes.evm.contracts.engine.Engine`."""

    __slots__ = ("_computation", "_inputs", "_steps", "_table")

    def __init__(self, table: PyEvmTable) -> None:
        self._table = table
        self._computation: FrameComputation | None = None
        self._inputs: CallInputs | CreateInputs | None = None
        self._steps: Tracer | None = None

    def start(self, frame: Frame, host: Host) -> Step:
        self._computation = FrameComputation(frame, host)
        self._steps = host.steps
        return self._guard(partial(self._run, self._computation))

    def resume(self, outcome: SubcallOutcome) -> Step:
        computation, inputs = self._computation, self._inputs
        if computation is None or inputs is None:
            raise Fatal("an EVM frame was resumed without a pending call")
        self._inputs, self._steps = None, computation.host.steps

        def go_on() -> Step:
            if isinstance(inputs, CallInputs):
                computation.return_data = outcome.output
                start, size = computation.return_region
                computation.extend_memory(start, size)
                length = min(size, len(outcome.output))
                computation.memory_write(start, length, outcome.output[:length])
                computation.stack_push_int(int(outcome.success))
            else:
                if computation.frame.rules.creation_returns:
                    computation.return_data = b"" if outcome.success else outcome.output
                computation.stack_push_bytes(outcome.created or b"")
            return self._run(computation)

        return self._guard(go_on)

    def _run(self, computation: FrameComputation) -> Step:
        if self._steps is not None:
            if self._steps.detail is Detail.COUNTERS:
                return self._run_counted(computation, self._steps.visit)
            return self._run_traced(computation, self._steps)
        rows, gas = self._table.rows, computation.host.gas
        stream, code = computation.code, computation.frame.code.data
        end = len(code)
        while True:
            position = stream.program_counter
            if position >= end:
                return FrameOutcome(Status.SUCCESS)
            stream.program_counter = position + 1
            price, function = rows[code[position]]
            if price > gas.remaining:
                gas.overdraw(price)
            gas.remaining -= price
            inputs = function(computation)
            if inputs is not None:
                self._inputs = inputs
                return inputs

    def _run_counted(self, computation: FrameComputation, visit: Callable[[int], None]) -> Step:
        """Run with a callback to the tracer before each instruction."""
        rows, gas = self._table.rows, computation.host.gas
        stream, code = computation.code, computation.frame.code.data
        end = len(code)
        while True:
            position = stream.program_counter
            visit(position)
            if position >= end:
                return FrameOutcome(Status.SUCCESS)
            stream.program_counter = position + 1
            price, function = rows[code[position]]
            if price > gas.remaining:
                gas.overdraw(price)
            gas.remaining -= price
            inputs = function(computation)
            if inputs is not None:
                self._inputs = inputs
                return inputs

    def _run_traced(self, computation: FrameComputation, tracer: Tracer) -> Step:
        """Run with an event before and after each instruction."""
        gas, code = computation.host.gas, computation.frame.code.data
        while True:
            position = computation.code.program_counter
            opcode = code[position] if position < len(code) else _STOP
            before = gas.left
            tracer.step(self._table.step(computation, position, opcode))
            computation.code.program_counter = position + 1
            price, function = self._table.rows[opcode]
            try:
                computation.pay(price)
                self._inputs = function(computation)
            except (Halt, Revert):
                tracer.step(EvmCost(before - gas.left))
                raise
            except FrameError as error:
                tracer.step(EvmFault(error.status.name))
                raise
            except (VMError, OutOfGas) as error:
                tracer.step(EvmFault((OutOfGas if isinstance(error, OutOfGas) else type(error)).__name__))
                raise
            tracer.step(EvmCost(before - gas.left))
            if self._inputs is not None:
                return self._inputs

    def _guard(self, run: Callable[[], Step]) -> Step:
        """Run, and convert py-evm's exceptions that end a frame into an outcome."""
        try:
            return run()
        except Halt:
            assert self._computation is not None
            return FrameOutcome(Status.SUCCESS, self._computation.output)
        except Revert:
            assert self._computation is not None
            return FrameOutcome(Status.REVERT, self._computation.output)
        except FrameError as error:
            return FrameOutcome(error.status)
        except VMError as error:
            status = _STATUS_OF_ERROR.get(type(error))
            if status is None:
                raise Fatal(f"py-evm ended a frame with {error!r}") from error
            return FrameOutcome(status)
