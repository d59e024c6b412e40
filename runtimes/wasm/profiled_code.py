"""Profiled code: an encoder of modules that record their calls in a second memory, and the boundary that runs them.

On entry and exit, each function records its position in the call tree and the gas counter; so does each syscall. None
of this is charged. A node of the tree is 32 bytes: function, caller's node, next node of its bucket, (unused), milligas
of its own, calls. The first 32 bytes of the memory hold the innermost node, the end of the nodes, and the last value
read from the counter. A node is found by caller and function in a hash table of node addresses after the nodes, in at
most `STEPS` steps, so the cost of a call does not depend on the tree. The last part of the memory has a byte for each
basic block of the code (`module.blocks`), 1 once it has begun.

Profiled code is several times slower than plain code. So at each tick of the engine, a running guest is ended if its
message was stopped (`gas.stopped`): its gas counter is set to -1.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from functools import lru_cache
from threading import get_ident
from time import perf_counter_ns
from typing import Any, Final, Protocol

from hypervisor.kernel import Kernel
from runtimes.wasm.boundary import RawBoundary, RawResolvedModule, ResolvedModule
from runtimes.wasm.module.blocks import block_spans
from runtimes.wasm.module.encode import Encoder
from runtimes.wasm.module.opcodes import CALL
from runtimes.wasm.module.parser import MAX_CODE_BYTES, ExternKind, Section, parse_module
from runtimes.wasm.syscalls.abi import HostCall, Revision
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import Syscall
from runtimes.wasmtime.encoding import encode_signed, name, u32, vector
from runtimes.wasmtime.engine import CompiledModule, Ticks, WasmtimeEngine
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import EpochCallback

REVISION: Final = 1
"""Version of profiled code; increase it whenever the code changes, to rebuild cached modules."""
PROFILE_EXPORT: Final = "\0profile"
_NODES_END: Final = 256 << 16
"""End of the nodes: half a million fit. When it is reached, calls count with the innermost node that fits."""
_BUCKET_BITS: Final = 17
BLOCKS_AT: Final = _NODES_END + (4 << _BUCKET_BITS)
PAGES: Final = (BLOCKS_AT + MAX_CODE_BYTES) >> 16
"""Size in pages of the second memory: the nodes, their hash table, and the blocks."""
STEPS: Final = 64
"""Maximum number of nodes of a bucket. Further functions count with their caller; only crafted modules reach it."""

NODE: Final = struct.Struct("<IIIIqQ")
HEAD: Final = struct.Struct("<IIq")
ROOT: Final = NODE.size
HELPERS: Final = f"""(module
    (global (mut i64) (i64.const 0))
    (memory 1) (memory {PAGES})
    (func $enter (param $function i32) (result i32)
            (local $at i32) (local $node i32) (local $bucket i32) (local $steps i32)
        (local.set $at (i32.load 1 (i32.const 0)))
        (i64.store 1 offset=16 (local.get $at) (i64.add (i64.load 1 offset=16 (local.get $at))
            (i64.sub (i64.load 1 offset=8 (i32.const 0)) (global.get 0))))
        (i64.store 1 offset=8 (i32.const 0) (global.get 0))
        (local.set $bucket (i32.shl (i32.shr_u
            (i32.mul (i32.xor (i32.mul (local.get $at) (i32.const 0x9E3779B1)) (local.get $function))
                (i32.const 0x85EBCA6B))
            (i32.const {32 - _BUCKET_BITS})) (i32.const 2)))
        (local.set $node (i32.load 1 offset={_NODES_END} (local.get $bucket)))
        (block $found
            (loop $next
                (if (i32.eqz (local.get $node)) (then
                    (local.set $node (i32.load 1 offset=4 (i32.const 0)))
                    (if (i32.ge_u (local.get $node) (i32.const {_NODES_END}))
                        (then (return (local.get $at))))
                    (i32.store 1 offset=4 (i32.const 0) (i32.add (local.get $node) (i32.const {NODE.size})))
                    (i32.store 1 (local.get $node) (local.get $function))
                    (i32.store 1 offset=4 (local.get $node) (local.get $at))
                    (i32.store 1 offset=8 (local.get $node) (i32.load 1 offset={_NODES_END} (local.get $bucket)))
                    (i32.store 1 offset={_NODES_END} (local.get $bucket) (local.get $node))
                    (br $found)))
                (br_if $found (i32.and (i32.eq (i32.load 1 (local.get $node)) (local.get $function))
                    (i32.eq (i32.load 1 offset=4 (local.get $node)) (local.get $at))))
                (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
                (if (i32.eq (local.get $steps) (i32.const {STEPS})) (then (return (local.get $at))))
                (local.set $node (i32.load 1 offset=8 (local.get $node)))
                (br $next)))
        (i64.store 1 offset=24 (local.get $node) (i64.add (i64.load 1 offset=24 (local.get $node)) (i64.const 1)))
        (i32.store 1 (i32.const 0) (local.get $node))
        (local.get $at))
    (func $leave (param $before i32) (local $at i32)
        (local.set $at (i32.load 1 (i32.const 0)))
        (i64.store 1 offset=16 (local.get $at) (i64.add (i64.load 1 offset=16 (local.get $at))
            (i64.sub (i64.load 1 offset=8 (i32.const 0)) (global.get 0))))
        (i64.store 1 offset=8 (i32.const 0) (global.get 0))
        (i32.store 1 (i32.const 0) (local.get $before))))"""
_I32: Final = b""
_ENTER_TYPE, _LEAVE_TYPE = b"\x60" + vector([_I32]) + vector([_I32]), b"\x60" + vector([_I32]) + vector([])


@lru_cache(1)
def _helpers() -> tuple[bytes, ...]:
    """Return the bodies of `enter` and `leave`, with their local variables."""
    from wasmtime import wat2wasm

    module = parse_module(bytes(wat2wasm(HELPERS)))
    return tuple(u32(body.local_groups) + module.data[body.locals_at : body.end] for body in module.bodies)


_BEGUN: Final = b"\x41\x00\x41\x01\x3a\x40\x01"
"""Encoded without its offset: i32.const 0, i32.const 1, i32.store8 in memory 1."""


class ProfilingEncoder(Encoder):
    """Encoder of instrumented modules that record their call tree and the blocks that begin."""

    _blocks = 0
    """Number of blocks of the functions written so far, in order."""

    def encode(self) -> bytes:
        """Return the instrumented module with the second memory."""
        raw, count = self.module.raw, len(self.module.types)
        fields, self._blocks = dict(raw), 0
        types = raw[Section.TYPE][len(u32(count)) :]
        raw[Section.TYPE] = u32(count + 2) + types + _ENTER_TYPE + _LEAVE_TYPE
        memories = raw[Section.MEMORY][len(u32(1)) :]
        raw[Section.MEMORY] = u32(2) + memories + b"\x01" + u32(PAGES) + u32(PAGES)
        try:
            return super().encode()
        finally:
            raw.clear()
            raw.update(fields)

    @property
    def _enter(self) -> int:
        return len(self.stack_costs) + len(self.thunks) + len(self.uncounted)

    def _function_section(self) -> bytes:
        first = len(self.module.types)
        return _longer(super()._function_section(), self._functions_written, [u32(first), u32(first + 1)])

    def _export_section(self) -> bytes:
        export = name(PROFILE_EXPORT) + bytes((ExternKind.MEMORY,)) + u32(1)
        has_start = self.module.start is not None
        return _longer(super()._export_section(), len(self.module.exports) + (2 if has_start else 1), [export])

    def _code_section(self) -> bytes:
        bodies = [u32(len(body)) + body for body in _helpers()]
        return _longer(super()._code_section(), self._functions_written, bodies)

    @property
    def _functions_written(self) -> int:
        return len(self.functions) + len(self.thunks) + len(self.uncounted)

    def _own_locals(self) -> bytes:
        return b"\x02\x7f"  # two i32: the node around this function, the node around a syscall

    def _prologue(self, position: int) -> bytes:
        return self._enter_code(self.imported + position, self._own_local(position))

    def _epilogue(self, position: int) -> bytes:
        return self._leave_code(self._own_local(position))

    def _edits(self, position: int) -> list[tuple[int, int, bytes]]:
        body, data = self.module.bodies[position], self.module.data
        edits = list[tuple[int, int, bytes]]()
        for start, _ in block_spans(self.functions[position].instructions, body.code_at, body.end):
            edits.append((start, start, _BEGUN + u32(BLOCKS_AT + self._blocks)))
            self._blocks += 1
        edits += super()._edits(position)
        around = self._own_local(position) + 1
        for _, op, start, end, operands in self.functions[position].instructions.marks:
            if op == CALL and operands[0] < self.imported:
                code = self._enter_code(operands[0], around) + data[start:end] + self._leave_code(around)
                edits.append((start, end, code))
        edits.sort(key=lambda edit: edit[0])
        return edits

    def _own_local(self, position: int) -> int:
        return self._temporary(position) + (1 if self.functions[position].charges.operands else 0)

    def _enter_code(self, function: int, local: int) -> bytes:
        return b"\x41" + encode_signed(function) + b"\x10" + u32(self._enter) + b"\x21" + u32(local)

    def _leave_code(self, local: int) -> bytes:
        return b"\x20" + u32(local) + b"\x10" + u32(self._enter + 1)


def _longer(written: bytes, count: int, items: Iterable[bytes]) -> bytes:
    """Append items to an encoded vector of `count` items."""
    more = list(items)
    assert written.startswith(u32(count)), "the vector does not begin with its count"
    return u32(count + len(more)) + written[len(u32(count)) :] + b"".join(more)


class TimedInvocation(Protocol):
    """The times recorded for an invocation."""

    nested_ns: int
    """Nanoseconds spent in nested invocations."""
    syscall_ns: dict[str, int]
    """Mapping from syscall to nanoseconds spent in it, without nested invocations."""


class ProfilingBoundary(RawBoundary):
    """A boundary that measures syscalls and adds a second memory to guests, for the profile."""

    def __init__(self, engine: WasmtimeEngine, revision: Revision) -> None:
        super().__init__(engine, revision, memories=2)
        self._ticks = Ticks(engine)
        self._at_tick = EpochCallback(self._check_at_tick)

    def link(self, module: CompiledModule) -> ResolvedModule:
        return _InterruptibleModule(self, module, self._ticks, self._at_tick)

    def _host_function(self, syscall: Syscall) -> HostCall:
        run, name = super()._host_function(syscall), f"{syscall.module}::{syscall.name}"

        def timed(environment: int, caller: int, address: int, count: int) -> int:
            invocation = self.innermost.get(get_ident())
            if invocation is None:
                return run(environment, caller, address, count)
            profile: TimedInvocation = invocation.profile
            nested, start = profile.nested_ns, perf_counter_ns()
            stopped = run(environment, caller, address, count)
            own = perf_counter_ns() - start - (profile.nested_ns - nested)
            profile.syscall_ns[name] = profile.syscall_ns.get(name, 0) + own
            return stopped

        return timed

    def _check_at_tick(self, _context: int, _environment: int, ticks: int, _kind: int) -> int:
        ctypes.c_uint64.from_address(ticks).value = 1
        invocation = self.innermost.get(get_ident())
        if invocation is not None and invocation.kernel.gas.stopped:
            invocation.instance.counter.value = -1
        return 0


class _InterruptibleModule(RawResolvedModule):
    """A linked module whose running instances can be interrupted at each tick of the engine."""

    def __init__(self, boundary: RawBoundary, module: CompiledModule, ticks: Ticks, callback: Any) -> None:
        super().__init__(boundary, module)
        self._ticks = ticks
        self._callback = callback

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        self._ticks.begin()
        try:
            invocation = super().begin(kernel, memory_bytes, table_elements)
        except BaseException:
            self._ticks.end()
            raise
        instance = invocation.instance
        assert isinstance(instance, Instance)
        instance.follow_epochs(self._callback)
        return invocation

    def end(self, invocation: WasmInvocation) -> None:
        self._ticks.end()
        super().end(invocation)
