"""The guest with PolkaVM's interpreter (`interpreter/`): its programs and frames, one instance for each thread.

The guest imports nothing and returns at each host function, so frames that wait for a call are handles in the guest.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from weakref import finalize

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import Fatal, InvalidModule, RuntimeUnavailable
from hypervisor.threads import hold_memory, once
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import LinkedModule, Linker, own_engine, trap_signals
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import Trap, WasmtimeUnusable

ARTIFACT: Final = Path(__file__).parent / "interpreter" / "interpreter.wasm"
MAGIC: Final = b"PVM\0"
MAX_CODE_SIZE: Final = 1 << 20
"""Maximum size of a blob in bytes, as on Polkadot (`limits.rs`)."""
SENTINEL: Final = 0xFFFF_FFFF
"""An argument without a value."""
MAX_REUSED_PAGES: Final = (32 << 20) >> 16
"""Maximum memory of a guest that further messages use, in pages of WASM; a larger one is closed."""
MAX_PROGRAM_BYTES: Final = 8 << 20
"""Bytes of the programs that a guest holds; above, the least recently used ones are dropped."""
_MAX_MEMORY: Final = (1 << 32) - (1 << 16)
_MAILBOX: Final = Struct("<IIII")
_COUNT: Final = Struct("<I")
_PAIR: Final = Struct("<II")
_WRITE: Final = Struct("<III")
_RUN: Final = Struct("<IIQIQ")
_STOPPED: Final = Struct("<Iq6Q")
_LENGTH: Final = slice(5, 13)
"""Position of a blob's length, which follows the magic and the version."""


class Command(IntEnum):
    """Commands of the guest (`interpreter/src/lib.rs`)."""

    MAILBOX = 0
    RESERVE = 1
    LOAD = 2
    START = 3
    RUN = 4
    DROP = 5
    RETURNED = 6
    UNLOAD = 7
    FUNCTIONS = 8
    INSTRUCTION = 9


class Stop(IntEnum):
    """Reasons for which a frame stops (`interpreter/src/frame.rs`)."""

    FINISHED = 0
    TRAPPED = 1
    CALLED = 2
    NO_GAS = 3
    RETURNED = 4
    STEP = 5
    REFUSED = 255


class Stopped(NamedTuple):
    """A stopped frame: the number of the host function, the gas left, six argument registers, and the inputs' data."""

    reason: int
    function: int
    gas: int
    registers: tuple[int, ...]
    inputs: bytes


class Program(NamedTuple):
    """A loaded program: its number, and the memory of one frame in bytes."""

    number: int
    memory: int


class Write(NamedTuple):
    """Data that a host function writes: at most as much as the number at `length` allows, unless that is SENTINEL."""

    pointer: int
    data: bytes
    length: int = SENTINEL


def split_code(code: bytes) -> tuple[bytes, bytes]:
    """Return a blob, and the data that follows it: constructor arguments or immutable values."""
    size = int.from_bytes(code[_LENGTH], "little")
    return code[:size], code[size:]


class Guest:
    """An instance of the guest, used by one thread."""

    def __init__(self) -> None:
        linked = _linked_module()
        engine = linked.linker.engine
        self._signals = trap_signals()
        self._instance = Instance(engine.lib, engine.pointer, _MAX_MEMORY, 2048, instances=1)
        finalize(self, self._instance.close)
        self._instance.instantiate(linked.pointer)
        if not self._instance.find_memory() or not self._instance.find_function(b"enter"):
            raise Fatal("the interpreter's module lacks its memory or its entry")
        base, _ = self._instance.memory()
        self._view = memoryview((ctypes.c_ubyte * (1 << 32)).from_address(base)).cast("B")  # the memory never moves
        self._mailbox = self._instance.enter_alone(Command.MAILBOX)
        self._capacity = self._input = self._pages = 0
        self._programs: OrderedDict[tuple[bytes, bool], Program] = OrderedDict()
        self._program_bytes = 0
        self.frames = 0
        """Number of frames that run or wait."""
        self.orphans: list[int] = []
        """Frames that will never continue; they are dropped before the next one starts."""
        self._reserve(1 << 12)

    @property
    def is_large(self) -> bool:
        """True if its memory, which never shrinks, exceeds the limit for reuse."""
        return self._pages > MAX_REUSED_PAGES

    def _reserve(self, size: int) -> None:
        _COUNT.pack_into(self._view, self._mailbox, size)
        self._instance.enter_alone(Command.RESERVE)
        self._capacity = size
        _, self._input, _, self._pages = _MAILBOX.unpack_from(self._view, self._mailbox)

    def _call(self, command: int, message: bytes) -> int:
        """Execute a command and return its result. Raises Fatal if the guest traps."""
        size = len(message)
        try:
            if size > self._capacity:
                self._reserve(2 * size)
            self._view[self._input : self._input + size] = message
            _COUNT.pack_into(self._view, self._mailbox, size)
            return self._instance.enter_alone(command)
        except Trap as trap:
            _threads.guest = None
            raise Fatal(f"the interpreter has failed: {trap}") from trap

    def _output(self, skip: int = 0) -> bytes:
        size, _, at, pages = _MAILBOX.unpack_from(self._view, self._mailbox)
        if pages != self._pages:
            self._pages = pages
            hold_memory(pages << 16)
        return self._view[at + skip : at + size].tobytes()

    # --- programs ---------------------------------------------------------------------------------------------

    def functions(self) -> tuple[str, ...]:
        """Return the names of the host functions, in the order of their numbers."""
        self._call(Command.FUNCTIONS, b"")
        return tuple(self._output().decode().split())

    def load(self, blob: bytes, traces: bool = False) -> Program:
        """Return a program, loading it if needed; with `traces`, its frames stop at each instruction.

        Raises InvalidModule with the rule that the blob breaks.
        """
        key = blob, traces
        program = self._programs.get(key)
        if program is not None:
            self._programs.move_to_end(key)
            return program
        if self._call(Command.LOAD, _COUNT.pack(traces) + blob) != 0:
            raise InvalidModule(f"the blob is refused: {self._output().decode('utf-8', 'replace'):.300}")
        program = self._programs[key] = Program(*_PAIR.unpack(self._output()))
        self._program_bytes += len(blob)
        while self._program_bytes > MAX_PROGRAM_BYTES and len(self._programs) > 1:
            (old, _), unused = self._programs.popitem(last=False)
            self._program_bytes -= len(old)
            self._call(Command.UNLOAD, _COUNT.pack(unused.number))
        return program

    # --- frames -----------------------------------------------------------------------------------------------

    def start(
        self, program: Program, deploys: bool, caller: EthAddress, address: EthAddress, value: int, calldata: bytes
    ) -> int:
        """Start a frame at `deploy` or `call`, and return its handle."""
        while self.orphans:
            self.drop(self.orphans.pop())
        head = _PAIR.pack(program.number, deploys) + caller + address + value.to_bytes(32, "little")
        if self._call(Command.START, head + calldata) != 0:
            raise Fatal("the interpreter cannot start a program that it has checked")
        self.frames += 1
        return int.from_bytes(self._output(), "little")

    def run(self, frame: int, gas: int, answer: int | None, writes: tuple[Write, ...], forgets: bool) -> Stopped:
        """Continue a frame with at most `gas` instructions, after a host function's answer and its writes.

        With `forgets`, the frame gives back its translated code first.
        """
        parts = [_RUN.pack(frame, forgets, gas, answer is not None, answer or 0)]
        if answer is None:
            parts[0] = parts[0][:-8]
        parts += [_WRITE.pack(write.pointer, write.length, len(write.data)) + write.data for write in writes]
        reason = self._call(Command.RUN, b"".join(parts))
        output = self._output()
        function, left, *registers = _STOPPED.unpack_from(output)
        return Stopped(reason, function, left, tuple(registers), output[_STOPPED.size :])

    def set_returned(self, frame: int, data: bytes) -> None:
        """Set the return data of a frame's last call."""
        self._call(Command.RETURNED, _COUNT.pack(frame) + data)

    def instruction(self, frame: int) -> tuple[int, str]:
        """Return the position and the text of a frame's next instruction."""
        self._call(Command.INSTRUCTION, _COUNT.pack(frame))
        output = self._output()
        return _COUNT.unpack_from(output)[0], output[_COUNT.size :].decode()

    def drop(self, frame: int) -> None:
        """Drop a frame. A guest that has grown large is not used again once it has no frames."""
        self._call(Command.DROP, _COUNT.pack(frame))
        self.frames -= 1
        if not self.frames and self.is_large and _threads.guest is self:
            _threads.guest = None


class _Threads(threading.local):
    guest: Guest | None = None


_threads: Final = _Threads()


def guest() -> Guest:
    """Return the calling thread's guest. Raises RuntimeUnavailable."""
    found = _threads.guest
    if found is None:
        found = _threads.guest = Guest()
    found._signals.restore()
    return found


@once
def host_functions() -> tuple[str, ...]:
    """Return the names of the host functions, in the order of their numbers."""
    return guest().functions()


@once
def _linked_module() -> LinkedModule:
    try:
        engine = own_engine()
        module = load_or_compile(engine, ARTIFACT.read_bytes(), ModuleCache(default_folder()), "RISC-V interpreter")
        return Linker(engine).link(module)
    except (OSError, WasmtimeUnusable, InvalidModule) as error:
        raise RuntimeUnavailable(f"the RISC-V interpreter cannot be loaded: {error}") from error
