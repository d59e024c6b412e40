"""The region compiler of the process, and the compiled regions of one instance of the guest.

Requested regions are compiled on a thread and cached by code and rules.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Protocol

from hypervisor.errors import InvalidModule
from hypervisor.threads import once
from runtimes.evm.contracts.engine import EngineRules
from runtimes.evm.regions.blocks import MAX_REGION_SIZE, Region, choose, jumpdests_of
from runtimes.evm.regions.emitter import ENTRY, RegionTooLarge, emit, operation_name
from runtimes.evm.regions.numbers import GuestCommand
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine, own_engine
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import EXTERN_FUNCTION, EXTERN_MEMORY

_MAX_CODES: Final = 512
_MAX_CODE_SIZE: Final = 200 << 10
"""Maximum bytes of WASM of all regions of one code; the native code takes three to ten times as much, at most 2 MiB."""
_MAX_CACHED_BYTES: Final = 100 * _MAX_CODE_SIZE
"""Maximum bytes of WASM of all codes: at most 200 MiB of native code."""
_MAX_ESTIMATE_ERROR: Final = 1.5
"""Maximum size of a region's WASM as a multiple of the limit; compilers of Solidity stay below 1.25."""
_MIN_LIMIT: Final = 1 << 10
_MAX_REGIONS: Final = 64
"""Maximum number of regions of one code."""
_MAX_QUEUED_PER_CODE: Final = 4
"""Maximum number of queued regions of one code; the first of them may make the others unnecessary."""
_MAX_QUEUED: Final = 64
"""Maximum length of the queue; further regions are requested again later."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompiledRegion:
    """A compiled region, its entry positions, and the guest's function that it imports for operations on words."""

    module: CompiledModule
    entries: tuple[int, ...]
    operate: str


@dataclass(slots=True)
class CodeRegions:
    """The compiled regions of one code under one set of rules.

    `entries` are those of all regions, `roots` the jumpdests around which a region was requested, `waiting` the number
    of queued regions, `size` the bytes of their WASM; `is_full` is True if the next region was too large.
    """

    compiled: list[CompiledRegion] = field(default_factory=list)
    entries: set[int] = field(default_factory=set)
    roots: set[int] = field(default_factory=set)
    waiting: int = 0
    size: int = 0
    is_full: bool = False


@dataclass(slots=True)
class HotCode:
    """A code that a guest has reported: its regions, and the number of those that are installed in the guest."""

    found: CodeRegions
    put_in: int = 0

    @property
    def is_installed(self) -> bool:
        """True if the guest has all of its compiled regions."""
        return self.put_in == len(self.found.compiled)


class RegionCompiler:
    """Compiles regions on a background thread."""

    def __init__(self, engine: WasmtimeEngine, modules: ModuleCache, limit: int = MAX_REGION_SIZE) -> None:
        self._engine = engine
        self._modules = modules
        self._limit = limit
        self._codes: OrderedDict[tuple[bytes, str], CodeRegions] = OrderedDict()
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[CodeRegions, bytes, EngineRules, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def regions(self, code: bytes, rules: EngineRules) -> CodeRegions:
        key = code, rules.name
        with self._lock:
            found = self._codes.get(key)
            if found is None:
                found = self._codes[key] = CodeRegions()
                if len(self._codes) > _MAX_CODES:
                    self._codes.popitem(last=False)
            self._codes.move_to_end(key)
        return found

    def request(
        self, found: CodeRegions, code: bytes, rules: EngineRules, root: int, is_installed: bool = False
    ) -> None:
        """Request the region around a hot jumpdest, unless it was requested before or too many are queued.

        A jumpdest that is hot although the guest has all compiled regions (`is_installed`) may be at the edge of one,
        where entering it saves nothing.
        """
        with self._lock:
            if self._queue.qsize() >= _MAX_QUEUED or found.waiting >= _MAX_QUEUED_PER_CODE:
                return
            if root in found.roots or (root in found.entries and not is_installed):
                return
            if found.is_full or len(found.roots) >= _MAX_REGIONS:
                return
            found.roots.add(root)
            found.waiting += 1
        self._enqueue(found, code, rules, root)

    def _enqueue(self, found: CodeRegions, code: bytes, rules: EngineRules, root: int) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # no thread survives a fork
                self._thread = threading.Thread(target=self._work, name="evm-regions", daemon=True)
                self._thread.start()
        self._queue.put((found, code, rules, root))

    def compile_all(self, found: CodeRegions, code: bytes, rules: EngineRules) -> None:
        """Compile a whole code now, except for parts unreachable from any jumpdest."""
        if not found.roots:
            with self._lock:
                found.roots.add(0)
                found.waiting += 1
            self._compile(found, code, rules, 0, *sorted(jumpdests_of(code)))

    def _work(self) -> None:
        while True:
            self._compile(*self._queue.get())

    def _compile(self, found: CodeRegions, code: bytes, rules: EngineRules, *roots: int) -> None:
        try:
            region, wasm = self._emit(code, rules, roots)
            new = tuple(entry for entry in region.entries if entry == roots[0] or entry not in found.entries)
            if not new:
                return
            if found.compiled and found.size + len(wasm) > _MAX_CODE_SIZE:
                found.is_full = True
                return
            module = load_or_compile(self._engine, wasm, self._modules, "region of EVM code")
            made = CompiledRegion(module, new, operation_name(rules.operands.prices_divisions))
            with self._lock:
                found.entries.update(new)
                found.compiled.append(made)
                found.size += len(wasm)
                self._evict(found)
        except (RegionTooLarge, InvalidModule) as problem:
            _log.info("a region of %d bytes of EVM code stays interpreted: %r", len(code), problem)
        except Exception:  # noqa: BLE001  # a bug: the code stays interpreted, and the thread continues
            _log.exception("a region of %d bytes of EVM code was not compiled", len(code))
        finally:
            with self._lock:
                found.waiting -= 1

    def _emit(self, code: bytes, rules: EngineRules, roots: Sequence[int]) -> tuple[Region, bytes]:
        """Return a region and its WASM; a smaller region if the estimate was far too low. Raises RegionTooLarge."""
        prices, limit = {number: row.gas for number, row in rules.opcodes.items()}, self._limit
        while True:
            region = choose(code, roots, prices, limit)
            try:
                wasm = emit(region, len(code), rules.operands.prices_divisions) if region.entries else b""
            except RegionTooLarge:
                if limit < _MIN_LIMIT:
                    raise
            else:
                if len(wasm) <= _MAX_ESTIMATE_ERROR * self._limit or limit < _MIN_LIMIT:
                    return region, wasm
            limit //= 2

    def _evict(self, newest: CodeRegions) -> None:
        """Drop regions of the least recently used codes, except the newest's. The caller holds the lock."""
        size = sum(each.size for each in self._codes.values())
        for key, each in [*self._codes.items()]:
            if size <= _MAX_CACHED_BYTES:
                return
            if each is not newest and each.size:
                size -= each.size
                del self._codes[key]


@once
def region_compiler() -> RegionCompiler:
    """Return the process's compiler of regions, whose forks find it unlocked."""
    compiler = new_compiler(MAX_REGION_SIZE)
    if hasattr(os, "register_at_fork"):
        lock = compiler._lock
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return compiler


def new_compiler(limit: int) -> RegionCompiler:
    """Return a compiler of regions of up to `limit` bytes of WASM, by estimate."""
    folder = default_folder()
    modules = ModuleCache(None if folder is None else folder / "regions")  # regions must not evict actors
    return RegionCompiler(own_engine(), modules, limit)


_IMPORTS: Final = ((b"memory", EXTERN_MEMORY), (b"lengthen", EXTERN_FUNCTION))
"""A region's first imports, in order."""
_TABLE: Final = b"__indirect_function_table"
MAX_CODES: Final = 240
"""Number of hot codes of an instance, after which it is retired: the guest of frames has 256 numbers."""
MAX_INSTANCES: Final = 256
"""Maximum number of instances in a store: regions, and the guest itself."""


class RegionTable:
    """The compiled regions in the function table of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._slots: dict[int, int] = {}
        self.compiled: list[CompiledRegion] = []
        """Modules whose functions are in the table."""
        self.is_full = False
        """True if the instance cannot hold further regions."""

    def install(self, code: HotCode) -> Iterator[tuple[int, CompiledRegion]]:
        """Put a code's compiled regions into the table that are not installed yet; yield them with their slots."""
        while code.put_in < len(code.found.compiled) and not self.is_full:
            region = code.found.compiled[code.put_in]
            code.put_in += 1
            slot = self._slots.get(id(region))
            if slot is None:
                imports = (*_IMPORTS, (region.operate.encode(), EXTERN_FUNCTION))
                slot = self._instance.add_function(region.module.pointer, ENTRY.encode(), imports, _TABLE)
                self._slots[id(region)] = slot
                self.compiled.append(region)
                self.is_full = len(self.compiled) >= MAX_INSTANCES - 1
            yield slot, region


class RegionGuest(Protocol):
    """The interface of a guest instance that is used here."""

    numbers: memoryview

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes of its memory."""

    def pass_in(self, data: bytes) -> None:
        """Pass data to it."""


class InstanceRegions:
    """Manages the regions of one instance, between its runs and whenever it draws gas."""

    def __init__(self, guest: RegionGuest, instance: Instance, compiler: RegionCompiler, hot: memoryview) -> None:
        self._guest = guest
        self._compiler = compiler
        self.hot = hot
        self.table = RegionTable(instance)
        self._codes: dict[tuple[int, int], HotCode] = {}
        self.awaited: list[tuple[int, int]] = []
        """Codes with regions that wait for compilation: the numbers of the code and of the rules."""
        self.is_full = False
        """True if the guest cannot report further codes, or cannot hold further regions."""

    def update(self, command: Callable[[int], int], rules: Sequence[EngineRules]) -> None:
        """Request hot regions and install those compiled meanwhile. `command` calls the guest."""
        count = self.hot[0]
        if count:
            self.hot[0] = 0
            for index in range(count):
                number, jumpdest, which = self.hot[3 * index + 1 : 3 * index + 4]
                data = self._data(number, command)
                code = self._code(number, which, data, rules[which])
                self._compiler.request(code.found, data, rules[which], jumpdest, code.is_installed)
                if (number, which) not in self.awaited:
                    self.awaited.append((number, which))
        if self.awaited:
            self.awaited = [key for key in self.awaited if not self._put_in(key, command)]
            self.is_full = self.table.is_full or len(self._codes) >= MAX_CODES

    def compile_now(self, number: int, which: int, command: Callable[[int], int], rules: EngineRules) -> None:
        """Compile all of a code that is about to run."""
        self._guest.numbers[0] = number
        if command(GuestCommand.REPORT_CODE):
            return
        reported = self._guest.numbers[0]
        data = self._data(reported, command)
        self._compiler.compile_all(self._code(reported, which, data, rules).found, data, rules)
        self._put_in((reported, which), command)
        self.is_full = self.table.is_full or len(self._codes) >= MAX_CODES

    def _code(self, number: int, which: int, data: bytes, rules: EngineRules) -> HotCode:
        known = self._codes.get((number, which))
        if known is None:
            known = self._codes[number, which] = HotCode(self._compiler.regions(data, rules))
        return known

    def _data(self, number: int, command: Callable[[int], int]) -> bytes:
        self._guest.numbers[0] = number
        command(GuestCommand.HOT_CODE)
        return self._guest.read(self._guest.numbers[0], self._guest.numbers[1])

    def _put_in(self, key: tuple[int, int], command: Callable[[int], int]) -> bool:
        """Install a code's compiled regions; return True if none is pending."""
        code = self._codes[key]
        done = code.found.waiting == 0
        for slot, region in self.table.install(code):
            self._guest.pass_in(b"".join(entry.to_bytes(4, "little") for entry in region.entries))
            numbers = self._guest.numbers
            numbers[0], numbers[1], numbers[2], numbers[3] = *key, slot, len(region.entries)
            command(GuestCommand.ADD_REGION)
        return done
