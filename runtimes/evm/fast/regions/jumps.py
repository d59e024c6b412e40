"""The log of executed jump destinations, for coverage-guided fuzzing.

Instead of compiled code, each jump destination of a code gets the same small region: it appends the code's number and
the program counter to a log in the guest's memory, charges for the JUMPDEST, and returns to the interpreter after it.
So calls run without a tracer, and no Python code runs per jump.

The guest removes regions that use little gas (`note_entry` in guests/evm/src/frame.rs). This region is therefore
entered twice: first it adds gas, which counts as no use, then it takes the added gas back and charges for the JUMPDEST.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from runtimes.evm.engine import EngineRules
from runtimes.evm.fast.numbers import GuestCommand
from runtimes.evm.fast.regions import wasm
from runtimes.evm.fast.regions.blocks import JUMPDEST, jumpdests_of
from runtimes.evm.fast.regions.compiler import MAX_CODES, MAX_INSTANCES, RegionGuest
from runtimes.evm.fast.regions.emitter import ENTRY
from runtimes.wasmtime.encoding import name, section, vector
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import EXTERN_MEMORY

MAX_LOG_BYTES: Final = 1 << 20
"""Maximum size of a log; further jumps are not recorded. A jump takes eight bytes."""
_MAX_REMEMBERED_CODES: Final = 1024
_PAGE: Final = 1 << 16
_PAGES: Final = MAX_LOG_BYTES // _PAGE + 1
_SIZE, _ENTRY, _LOG = 0, 4, 8
"""Offsets of: the log's size in bytes; the number of the next entry of a region (`emit_jump`); the log."""
_LENT_GAS: Final = 1 << 20
"""Gas that the first entry adds, at least the guest's limit of a region's credit (`MOST_CREDIT`)."""
_TABLE: Final = b"__indirect_function_table"


class LogGuest(RegionGuest, Protocol):
    """The interface of a guest instance that is used here."""

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes to its memory."""


class JumpRecorder:
    """Numbers the codes of the process, and compiles their regions."""

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._numbers: dict[bytes, int] = {}
        self._codes: dict[int, bytes] = {}
        self._next = 0
        self._compile = lru_cache(_MAX_REMEMBERED_CODES)(
            lambda number, price, address: engine.compile(emit_jump(number, price, address))
        )

    def region(self, code: bytes, price: int, address: int) -> CompiledModule:
        """Return the region of a code's jump destinations; `address` is that of the log, `price` that of a JUMPDEST."""
        number = self._numbers.get(code)
        if number is None:
            number = self._numbers[code] = self._next
            self._codes[number] = code
            self._next += 1
            if len(self._codes) > _MAX_REMEMBERED_CODES:
                del self._numbers[self._codes.pop(next(iter(self._codes)))]
        module: CompiledModule = self._compile(number, price, address)
        return module

    def code(self, number: int) -> bytes | None:
        """Return the code of a number, or None if it was evicted."""
        return self._codes.get(number)


class JumpLog:
    """The log of one instance of the guest."""

    def __init__(self, guest: LogGuest, instance: Instance, recorder: JumpRecorder) -> None:
        self._guest = guest
        self._instance = instance
        self._recorder = recorder
        self._codes: set[tuple[int, int]] = set()
        self._slots: dict[int, int] = {}
        self._modules: list[CompiledModule] = []
        """Modules whose functions are in the table."""
        self._address = instance.grow_memory(_PAGES) * _PAGE

    @property
    def is_full(self) -> bool:
        """True if the guest cannot report further codes, or cannot hold further regions."""
        return len(self._codes) >= MAX_CODES or len(self._modules) >= MAX_INSTANCES - 1

    def compile_now(self, number: int, which: int, command: Callable[[int], int], rules: EngineRules) -> None:
        """Record the jumps of a code that is about to run."""
        self._guest.numbers[0] = number
        if not command(GuestCommand.REPORT_CODE):
            self._record(self._guest.numbers[0], which, command, rules)

    def take(self) -> bytes:
        """Return the log, and clear it.

        It holds one 64-bit integer per jump: code number (upper 32 bits), program counter (lower 32).
        """
        guest, address = self._guest, self._address
        size = int.from_bytes(guest.read(address + _SIZE, 4), "little")
        found = guest.read(address + _LOG, size)
        guest.write(address, bytes(_LOG))
        return found

    def _record(self, number: int, which: int, command: Callable[[int], int], rules: EngineRules) -> None:
        if (number, which) in self._codes or self.is_full:
            return
        self._codes.add((number, which))
        numbers = self._guest.numbers
        numbers[0] = number
        command(GuestCommand.HOT_CODE)
        code = self._guest.read(numbers[0], numbers[1])
        entries = sorted(jumpdests_of(code))
        module = self._recorder.region(code, rules.opcodes[JUMPDEST].gas, self._address)
        slot = self._slots.get(module.pointer)
        if slot is None:
            slot = self._instance.add_function(module.pointer, ENTRY.encode(), ((b"memory", EXTERN_MEMORY),), _TABLE)
            self._slots[module.pointer] = slot
            self._modules.append(module)
        self._guest.pass_in(b"".join(entry.to_bytes(4, "little") for entry in entries))
        numbers[0], numbers[1], numbers[2], numbers[3] = number, which, slot, len(entries)
        command(GuestCommand.ADD_REGION)


def emit_jump(number: int, price: int, address: int) -> bytes:
    """Return the WASM module of the region that records jumps in code `number`.

    Entry 0 appends to the log and adds gas. Entry 1 takes it back, and charges for the JUMPDEST. If too little gas is
    left for that, the guest makes entry 2, which changes nothing, so that the interpreter executes the JUMPDEST.
    """
    running, size = 0, 1
    zero, gas, entry = wasm.i32(0), wasm.get(running) + wasm.load_i64(wasm.GAS), address + _ENTRY
    function = b"".join((
        zero, wasm.load_i32(entry), wasm.IF,
        zero, wasm.load_i32(entry), wasm.i32(2), wasm.I32_EQ, wasm.IF,
        zero, zero, wasm.store_i32(entry),
        wasm.RETURN, wasm.END,
        wasm.get(running), gas, wasm.i64(_LENT_GAS), wasm.I64_SUB, wasm.store_i64(wasm.GAS),
        zero, wasm.i32(2), wasm.store_i32(entry),
        gas, wasm.i64(price), wasm.I64_GE_U, wasm.IF,
        zero, zero, wasm.store_i32(entry),
        wasm.get(running), gas, wasm.i64(price), wasm.I64_SUB, wasm.store_i64(wasm.GAS),
        wasm.get(running), wasm.get(running), wasm.load_i32(wasm.PC), wasm.i32(1), wasm.I32_ADD,
        wasm.store_i32(wasm.PC),
        wasm.END,
        wasm.RETURN, wasm.END,
        zero, wasm.load_i32(address + _SIZE), wasm.tee(size), wasm.i32(MAX_LOG_BYTES), wasm.I32_LT_U, wasm.IF,
        wasm.get(size), wasm.get(running), wasm.load_i64_32(wasm.PC), wasm.i64(number << 32), wasm.I64_OR,
        wasm.store_i64(address + _LOG),
        zero, wasm.get(size), wasm.i32(8), wasm.I32_ADD, wasm.store_i32(address + _SIZE),
        wasm.END,
        zero, wasm.i32(1), wasm.store_i32(entry),
        wasm.get(running), gas, wasm.i64(_LENT_GAS), wasm.I64_ADD, wasm.store_i64(wasm.GAS),
    ))  # fmt: skip
    return b"".join((
        b"\0asm\1\0\0\0",
        section(1, vector([wasm.function_type((wasm.I32,), ())])),
        section(2, vector([name("evm") + name("memory") + b"\x02\x00\x01"])),
        section(3, vector([b"\x00"])),
        section(7, vector([name(ENTRY) + b"\x00" + wasm.index(0)])),
        section(10, vector([wasm.body([(1, wasm.I32)], function)])),
    ))  # fmt: skip
