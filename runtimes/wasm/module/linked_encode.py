"""Encoder for the lab `libraries`: instrumented modules that share the gas and stack counters of their program.

Both counters are globals of a separate module, `COUNTERS`, which every module of a program imports. Everything else is
as in `encode`, so a function has the same gas and stack costs in every module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runtimes.wasm.module.encode import GAS_EXPORT, GAS_GLOBAL, Encoder
from runtimes.wasm.module.parser import MAGIC, BinaryReader, ExternKind, Section
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
"""The module with the gas and stack counters."""


class LinkedEncoder(Encoder):
    """An `Encoder` with imported counters."""

    def _first_global(self) -> int:
        return len(_TYPES)

    def _height_global(self) -> int:
        return _HEIGHT_GLOBAL

    def _more_sections(self) -> dict[int, Callable[[], bytes]]:
        return {Section.IMPORT: self._import_section}

    def _global_section(self) -> bytes:
        return vector(map(self._global, self.module.globals))

    def _import_section(self) -> bytes:
        """Return the module's imports followed by the counters, which are the only imported globals."""
        raw = self.module.raw.get(Section.IMPORT, b"\0")
        reader = BinaryReader(raw)
        reader.count()
        counters = [
            name(COUNTERS_MODULE) + name(text) + bytes((ExternKind.GLOBAL,)) + kind for text, kind in _TYPES.items()
        ]
        return u32(len(self.module.imports) + len(counters)) + raw[reader.position :] + b"".join(counters)
