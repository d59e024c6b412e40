"""Writes an instrumented module that counts gas and stack where all modules of its program do: the lab `libraries`.

Both counters are globals of a module of their own, `COUNTERS`, which every module of a program imports. The rest is as
`encode` has it, so a function costs and takes as much wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runtimes.wasm.binary import BinaryReader
from runtimes.wasm.encode import GAS_EXPORT, GAS_GLOBAL, Encoder
from runtimes.wasm.module import MAGIC, ExternKind, Section
from runtimes.wasmtime.encoding import name, section, u32, vector

COUNTERS_MODULE: Final = "\0counters"
HEIGHT_EXPORT: Final = "\0height"
_HEIGHT_GLOBAL: Final = GAS_GLOBAL + 1
_TYPES: Final = {GAS_EXPORT: b"\x7e\x01", HEIGHT_EXPORT: b"\x7f\x01"}

COUNTERS: Final = (
    MAGIC
    + section(Section.GLOBAL, vector([_TYPES[GAS_EXPORT] + b"\x42\0\x0b", _TYPES[HEIGHT_EXPORT] + b"\x41\0\x0b"]))
    + section(
        Section.EXPORT, vector(name(text) + bytes((ExternKind.GLOBAL,)) + u32(at) for at, text in enumerate(_TYPES))
    )
)
"""The module with the counters of gas and of the stack."""


class LinkedEncoder(Encoder):
    """As `Encoder`, with imported counters."""

    def _first_global(self) -> int:
        return len(_TYPES)

    def _height_global(self) -> int:
        return _HEIGHT_GLOBAL

    def _more_sections(self) -> dict[int, Callable[[], bytes]]:
        return {Section.IMPORT: self._import_section}

    def _global_section(self) -> bytes:
        return vector(map(self._global, self.module.globals))

    def _import_section(self) -> bytes:
        """The module's imports, and behind them the counters: the only globals that are imported."""
        raw = self.module.raw.get(Section.IMPORT, b"\0")
        reader = BinaryReader(raw)
        reader.count()
        counters = [
            name(COUNTERS_MODULE) + name(text) + bytes((ExternKind.GLOBAL,)) + kind for text, kind in _TYPES.items()
        ]
        return u32(len(self.module.imports) + len(counters)) + raw[reader.position :] + b"".join(counters)
