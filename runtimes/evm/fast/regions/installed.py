"""The compiled regions of one instance of the guest: requests hot regions and installs compiled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runtimes.evm.engine import EngineRules
from runtimes.evm.fast.numbers import GuestCommand
from runtimes.evm.fast.regions.compiler import CodeRegions, CompiledRegion, RegionCompiler
from runtimes.evm.fast.regions.emitter import ENTRY
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import EXTERN_FUNCTION, EXTERN_MEMORY

_IMPORTS: Final = ((b"memory", EXTERN_MEMORY), (b"lengthen", EXTERN_FUNCTION), (b"operate", EXTERN_FUNCTION))
"""A region's imports, in order."""
_TABLE: Final = b"__indirect_function_table"
MAX_CODES: Final = 240
"""Number of codes an instance may report before it is retired: the guest has 256 numbers."""
MAX_INSTANCES: Final = 256
"""Maximum number of instances in a store: regions, and the guest itself."""


class RegionGuest(Protocol):
    """The interface of a guest instance that is used here."""

    numbers: memoryview

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes of its memory."""

    def pass_in(self, data: bytes) -> None:
        """Pass data to it."""


@dataclass(slots=True)
class _HotCode:
    """A code that the guest has reported: its number, the rules' number, and how many of its regions are installed."""

    number: int
    rules: int
    found: CodeRegions
    put_in: int = 0


class InstanceRegions:
    """Manages the regions of one instance, between its runs and whenever it draws gas."""

    def __init__(self, guest: RegionGuest, instance: Instance, compiler: RegionCompiler, hot: memoryview) -> None:
        self._guest = guest
        self._instance = instance
        self._compiler = compiler
        self.hot = hot
        self.is_full = False
        """True if the guest cannot report further codes, or cannot hold further regions."""
        self._codes: dict[tuple[int, int], _HotCode] = {}
        self.awaited: list[_HotCode] = []
        self._slots: dict[int, int] = {}
        self.compiled: list[CompiledRegion] = []
        """Modules whose functions are in the table."""

    def update(self, command: Callable[[int], int], rules: Sequence[EngineRules]) -> None:
        """Request hot regions and install those compiled meanwhile. `command` calls the guest."""
        count = self.hot[0]
        if count:
            self.hot[0] = 0
            for index in range(count):
                number, jumpdest, which = self.hot[3 * index + 1 : 3 * index + 4]
                data = self._data(number, command)
                code = self._code(number, which, data, rules[which])
                self._compiler.request(code.found, data, rules[which], jumpdest)
                if code not in self.awaited:
                    self.awaited.append(code)
        if self.awaited:
            self.awaited = [code for code in self.awaited if not self._put_in(code, command)]

    def compile_now(self, number: int, which: int, command: Callable[[int], int], rules: EngineRules) -> None:
        """Compile all of a code that is about to run."""
        self._guest.numbers[0] = number
        if command(GuestCommand.REPORT_CODE):
            return
        reported = self._guest.numbers[0]
        data = self._data(reported, command)
        code = self._code(reported, which, data, rules)
        self._compiler.compile_all(code.found, data, rules)
        self._put_in(code, command)

    def _code(self, number: int, which: int, data: bytes, rules: EngineRules) -> _HotCode:
        known = self._codes.get((number, which))
        if known is None:
            known = self._codes[number, which] = _HotCode(number, which, self._compiler.regions(data, rules))
            self.is_full = self.is_full or len(self._codes) >= MAX_CODES
        return known

    def _data(self, number: int, command: Callable[[int], int]) -> bytes:
        self._guest.numbers[0] = number
        command(GuestCommand.HOT_CODE)
        return self._guest.read(self._guest.numbers[0], self._guest.numbers[1])

    def _put_in(self, code: _HotCode, command: Callable[[int], int]) -> bool:
        """Install compiled regions; return True if none is pending."""
        found = code.found
        done = found.waiting == 0
        while code.put_in < len(found.compiled) and len(self.compiled) < MAX_INSTANCES - 1:
            region = found.compiled[code.put_in]
            code.put_in += 1
            slot = self._slots.get(id(region))
            if slot is None:
                slot = self._instance.add_function(region.module.pointer, ENTRY.encode(), _IMPORTS, _TABLE)
                self._slots[id(region)] = slot
                self.compiled.append(region)
                self.is_full = self.is_full or len(self.compiled) >= MAX_INSTANCES - 1
            self._guest.pass_in(b"".join(entry.to_bytes(4, "little") for entry in region.entries))
            numbers = self._guest.numbers
            numbers[0], numbers[1], numbers[2], numbers[3] = code.number, code.rules, slot, len(region.entries)
            command(GuestCommand.ADD_REGION)
        return done
