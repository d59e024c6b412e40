"""Listing of a contract's instructions with execution counts and source positions, for `--report bytecode`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.collected import SuiteCoverage
from fvm_hypervisor.soltest.compile.artifact import Artifacts
from fvm_hypervisor.soltest.project.solidity_text import SourceTexts
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.trace.known_code import KnownCode, SourceSpan
from runtimes.evm.ethereum import LATEST_FORK, fork_named

FOLDER: Final = "bytecode-coverage"
_FIRST_PUSH, _PUSH32 = 0x60, 0x7F


def write_listings(root: Path, artifacts: Artifacts, found: SuiteCoverage) -> list[Path]:
    """Write `bytecode-coverage/<contract>.asm` per executed contract, and `.creation.asm` for executed init code."""
    known, sources, written = KnownCode(artifacts), SourceTexts(root), []
    for (file, name, creates), visits in sorted(found.visits.items()):
        contract = known.find_by_name(file, name)
        if contract is None:
            continue
        code = (contract.creation if creates else contract.runtime).code
        spans = contract.creation_places if creates else contract.runtime_places
        path = root / FOLDER / f"{name}{'.creation' if creates else ''}.asm"
        text = "".join(f"{line}\n" for line in listing(code, spans, visits, sources))
        write_inside(root, path, text.encode())
        written.append(path)
    return written


def listing(code: bytes, spans: Mapping[int, SourceSpan], visits: Counter[int], sources: SourceTexts) -> Iterator[str]:
    """Yield a line for each instruction: execution count, program counter, name and source position."""
    names = {number: row.name for number, row in fork_named(LATEST_FORK.name).opcodes.items()}
    counter = 0
    while counter < len(code):
        opcode = code[counter]
        size = opcode - _FIRST_PUSH + 1 if _FIRST_PUSH <= opcode <= _PUSH32 else 0
        word = code[counter + 1 : counter + 1 + size]
        name = names.get(opcode, "INVALID" if opcode == 0xFE else f"0x{opcode:02x}")
        what = f"{name} 0x{int.from_bytes(word, 'big'):x}" if size else name
        count = visits[counter]
        head = f"[{count:03d}]" if count else "     "
        yield f"{head} {counter:08x}: {what:<30} {_position(spans.get(counter), sources)}".rstrip()
        counter += 1 + size


def _position(span: SourceSpan | None, sources: SourceTexts) -> str:
    source = None if span is None or not span.file else sources.get(span.file)
    if span is None or source is None:
        return ""
    end = span.start + span.length
    return f"// {span.file}: {source.line(span.start)}-{source.line(end)} ({span.start}-{end})"
