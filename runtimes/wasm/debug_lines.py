"""Source lines of a module's code, from the debug information (DWARF) that compilers add on request.

Addresses are offsets in the content of the code section. Source: "DWARF for WebAssembly",
https://yurydelendik.github.io/webassembly-dwarf/.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from inspect import signature
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hypervisor.bundles.bundle import custom_section
from hypervisor.errors import InvalidInput
from runtimes.wasm.module.parser import MAGIC, BinaryReader, Section

_LINES = ".debug_line"


class SourceLine(NamedTuple):
    """The offset in the module at which a source line's instructions begin; column 0 is unknown."""

    offset: int
    file: str
    line: int
    column: int = 0


@lru_cache(16)
def source_lines(wasm: bytes) -> tuple[SourceLine, ...]:
    """Return a valid module's lines by offset; none without debug information.

    Raises InvalidInput for malformed debug information, and if the library that reads it is missing.
    """
    if custom_section(wasm, _LINES) is None:
        return ()
    try:
        return tuple(sorted(_lines(wasm, _code_start(wasm))))
    except ImportError:
        text = "source lines of native actors need pyelftools: install it with `pip install pyelftools`"
        raise InvalidInput(text) from None
    except Exception as error:  # noqa: BLE001  # malformed debug information, which the library reports in many types
        raise InvalidInput(f"the module's debug information cannot be read: {error!r:.200}") from None


def _code_start(wasm: bytes) -> int:
    reader = BinaryReader(wasm, len(MAGIC))
    while True:
        number, size = reader.byte(), reader.u32()
        if number == Section.CODE:
            return reader.position
        reader.take(size)


def _lines(wasm: bytes, code_start: int) -> Iterator[SourceLine]:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

    def section(parameter: str) -> Any:
        name = f".{parameter.removesuffix('_sec')}"
        content = custom_section(wasm, name)
        return None if content is None else DebugSectionDescriptor(BytesIO(content), name, 0, len(content), 0)

    parameters = [name for name in signature(DWARFInfo).parameters if name.endswith("_sec")]
    found = DWARFInfo(DwarfConfig(True, "", 4), **{name: section(name) for name in parameters})
    for unit in found.iter_CUs():
        program = found.line_program_for_CU(unit)
        if program is None:
            continue
        attributes = unit.get_top_DIE().attributes
        folder = attributes["DW_AT_comp_dir"].value.decode() if "DW_AT_comp_dir" in attributes else ""
        files = _files(program.header, folder)
        for state in (entry.state for entry in program.get_entries()):
            if state is not None and not state.end_sequence and state.line and state.address:
                yield SourceLine(code_start + state.address, files[state.file], state.line, state.column)


def _files(header: Any, folder: str) -> dict[int, str]:
    """Return the files of a line table by number; before DWARF 5 numbers begin with 1, and folder 0 is the unit's."""
    first = 0 if header.version >= 5 else 1
    folders = [name.decode() for name in header.include_directory]
    if first:
        folders.insert(0, folder)
    return {
        number: str(PurePosixPath(folder) / folders[entry.dir_index] / entry.name.decode())
        for number, entry in enumerate(header.file_entry, first)
    }
