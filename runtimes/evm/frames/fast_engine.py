"""`FastEngine`: one frame on an instance of the guest, under Filecoin's rules (`runtimes.evm.contracts.engine.Engine`).

The frame stays in the instance while it waits for a subcall's outcome. Gas comes from the host's budget, in slices
small enough to let other threads run in between.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import ref

from bridge.evm_steps import EvmCost, EvmFault
from hypervisor.errors import Fatal, HypervisorError, OutOfGas
from hypervisor.tracing import Detail, RuntimeEvent, Tracer
from runtimes.evm.contracts.engine import (
    CallInputs,
    CallKind,
    CreateInputs,
    EngineFactory,
    Frame,
    FrameOutcome,
    Host,
    Status,
    Step,
    SubcallOutcome,
    fault_name,
)
from runtimes.evm.contracts.rules import EvmRules
from runtimes.evm.frames.instance import FastInstance, address_of
from runtimes.evm.frames.pool import TIERED, Pool, Tier, pool
from runtimes.evm.regions.numbers import GuestCommand, GuestExit
from store.blockstore import StoreError

SLICE: Final = 2_000_000
"""Gas that the guest uses in a few milliseconds, at worst in 0.2 seconds (copies under Filecoin's rules)."""

_BEGUN: Final = 6
"""Index of the mailbox number that holds the count of instructions begun in a traced run."""
_MAX_SKIPPED: Final = 1 << 62
_CREATE2: Final = 0xF5
_CALLS: Final = {
    0xF1: CallKind.CALL,
    0xF4: CallKind.DELEGATECALL,
    0xFA: CallKind.STATICCALL,
}


class FastTable:
    """State shared by all frames under one set of rules."""

    def __init__(self, rules: EvmRules, tier: Tier = TIERED) -> None:
        self.pool: Pool = pool(tier)
        self.synchronous = tier.synchronous
        self.rules = rules
        self.names = {number: opcode.name for number, opcode in rules.opcodes.items()}
        self.engine: EngineFactory = partial(FastEngine, self)


class FastEngine:
    """Executes one frame."""

    __slots__ = ("_code", "_frame", "_host", "_instance", "_kind", "_passed", "_shown_next", "_table")

    def __init__(self, table: FastTable) -> None:
        self._table = table
        self._instance: FastInstance | None = None
        self._host: Host | None = None
        self._code = b""
        self._frame: int | None = None
        self._kind: CallKind | None = None
        self._passed = 0
        """Bytes of data passed to the pending call."""
        self._shown_next = 1
        """The number of the next instruction to report to a pausing tracer."""

    def start(self, frame: Frame, host: Host) -> Step:
        self._host, self._code = host, frame.code.data
        host.gas.widen(SLICE)
        if threading.get_ident() != threading.main_thread().ident:
            return self._start(frame, host)
        return self._off_the_main_thread(lambda: self._start(frame, host))

    def resume(self, outcome: SubcallOutcome) -> Step:
        number, instance, host = self._frame, self._instance, self._host
        if number is None or instance is None or host is None:
            raise Fatal("an EVM frame was resumed without a pending call")
        self._frame = None
        return self._off_the_main_thread(lambda: self._resume(instance, host, number, outcome))

    def _off_the_main_thread(self, work: Callable[[], Step]) -> Step:
        """Run `work` on another thread if this is the main one, where a signal handler could interrupt a guest."""
        if threading.get_ident() != threading.main_thread().ident:
            return work()
        return self._table.pool.stacks.run(work, lambda: None)

    def _start(self, frame: Frame, host: Host) -> Step:
        table = self._table
        instance = self._instance = table.pool.acquire(host.message)
        try:
            rules = instance.rules_number(table.rules)
            code = instance.code_number(self._code)
            if table.synchronous:
                instance.prepare(code, rules)
            instance.pass_in(frame.calldata)
            numbers, steps = instance.numbers, host.steps
            numbers[0], numbers[1], numbers[2] = rules, code, len(frame.calldata)
            numbers[3], numbers[4] = frame.static, steps is not None
            instance.put_frame(frame.address, frame.caller, frame.value)
            return self._run(instance, host, steps, GuestCommand.START)
        except (HypervisorError, StoreError):
            raise
        except Exception as defect:
            raise instance.failed(defect) from defect
        finally:
            table.pool.release(instance)

    def _resume(self, instance: FastInstance, host: Host, number: int, outcome: SubcallOutcome) -> Step:
        pool = self._table.pool
        pool.reacquire(instance)
        try:
            instance.remove_waiting(self._passed)
            creates = self._kind is None
            output = b"" if creates and outcome.success else outcome.output
            instance.pass_in(output)
            numbers, steps = instance.numbers, host.steps
            numbers[0], numbers[1], numbers[2] = number, outcome.success, len(output)
            numbers[3] = steps is not None
            if creates:
                instance.put_bytes(outcome.created or b"")
            return self._run(instance, host, steps, GuestCommand.RESUME)
        except (HypervisorError, StoreError):
            raise
        except Exception as defect:
            raise instance.failed(defect) from defect
        finally:
            pool.release(instance)

    def _run(self, instance: FastInstance, host: Host, steps: Tracer | None, command: int) -> Step:
        instance.running, instance.names, instance.before = self._code, self._table.names, None
        pausing = steps if steps is not None and steps.detail is Detail.PAUSES else None
        instance.visit = steps.visit if steps is not None and steps.detail is Detail.COUNTERS else None
        instance.pause = None if pausing is None else partial(self._pause, pausing)
        try:
            exit_code = instance.run(command, host)
        except OutOfGas:
            if host.steps is not None and (instance.before is not None or pausing is not None):
                host.steps.step(EvmFault(OutOfGas.__name__))
            raise
        finally:
            if pausing is not None:
                begun = instance.numbers[_BEGUN]
                self._shown_next = begun + 1
                pausing.frame_stopped(begun, instance.position)
        if exit_code == GuestExit.NO_ROOM:
            raise Fatal("the EVM engine is out of memory for a frame")
        if exit_code != GuestExit.ASK:
            return self._frame_end(instance, host, Status(exit_code))
        self._trace_cost(instance, host)
        return self._read_subcall(instance, host)

    def _pause(self, tracer: Tracer, counter: int, read_step: Callable[[], RuntimeEvent]) -> int:
        left_out = min(tracer.pause(self._shown_next, counter, read_step), _MAX_SKIPPED)
        self._shown_next += 1 + left_out
        return left_out

    def _frame_end(self, instance: FastInstance, host: Host, status: Status) -> FrameOutcome:
        if status in (Status.SUCCESS, Status.REVERT):
            if instance.before is not None:
                self._trace_cost(instance, host)
            return FrameOutcome(status, instance.read(instance.numbers[0], instance.numbers[1]))
        if host.steps is not None and (instance.before is not None or instance.pause is not None):
            host.steps.step(EvmFault(fault_name(status)))
        return FrameOutcome(status)

    @staticmethod
    def _trace_cost(instance: FastInstance, host: Host) -> None:
        if host.steps is not None and instance.before is not None:
            host.steps.step(EvmCost(instance.before - host.gas.left))

    def _read_subcall(self, instance: FastInstance, host: Host) -> CallInputs | CreateInputs:
        number, opcode, offset, size, *_ = instance.numbers
        self._frame, self._passed = number, size
        instance.wait(ref(host.message), size)
        data = instance.read(offset, size)
        kind = self._kind = _CALLS.get(opcode)
        value = instance.word(2)
        if kind is None:
            return CreateInputs(value, data, instance.word(3) if opcode == _CREATE2 else None)
        return CallInputs(kind, instance.word(0), address_of(instance.word(1)), value, data)

    def __del__(self) -> None:
        if self._frame is not None and self._instance is not None:
            self._table.pool.drop(self._instance, self._frame)
