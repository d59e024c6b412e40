"""Coverage of native actors: basic blocks and functions of their code, and lines if it has debug information.

A statement of the report is a basic block, on each of its lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypervisor.machine.profile import ProfileRecorder, cover_actors, union
from hypervisor_tools.soltest.report.coverage import FileCoverage, Item, ItemHits, ItemKind
from runtimes.wasm import SourceLine, code_blocks, function_label, function_names, source_lines

if TYPE_CHECKING:
    from localnet.network import Network

_NO_SPAN: Final = 0


class ActorCode(NamedTuple):
    """A native actor's code as plain data: name, functions with their number of blocks, lines, and executed blocks.

    `lines` has (block, file, line) for the files of the project; it is empty without debug information. Byte n of
    `executed` is 1 if block n has begun.
    """

    name: str
    functions: Sequence[tuple[str, int]]
    lines: Sequence[tuple[int, str, int]]
    executed: bytes


class ActorVisits:
    """Executed blocks of native actors on all measured networks, as plain data that processes can exchange."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of the sources to show."""
        self._root = root.resolve()
        self._recorders: list[ProfileRecorder] = []
        self._others: dict[bytes, ActorCode] = {}

    def watch(self, network: Network) -> None:
        """Record a network's messages and calls from now on."""
        recorder = cover_actors(network.machine)
        if all(recorder is not known for known in self._recorders):
            self._recorders.append(recorder)

    def rows(self) -> dict[bytes, tuple[Any, ...]]:
        """Return what was recorded so far, by code CID, for `add_rows` in another process."""
        return {code: tuple(found) for code, found in self.codes().items()}

    def codes(self) -> dict[bytes, ActorCode]:
        """Return what was recorded so far, by code CID."""
        found = dict(self._others)
        for recorder in self._recorders:
            for code, executed in [*recorder.blocks.items()]:
                name, wasm = recorder.modules[code]
                _add(found, bytes(code), ActorCode(name, *_facts(wasm, self._root), executed))
        return found

    def add_rows(self, rows: Mapping[bytes, Sequence[Any]]) -> None:
        """Add what another process has recorded."""
        for code, row in rows.items():
            _add(self._others, code, ActorCode(*row))


def _add(found: dict[bytes, ActorCode], code: bytes, other: ActorCode) -> None:
    known = found.get(code, other)
    found[code] = known._replace(executed=union(known.executed, other.executed))


@lru_cache(64)
def _facts(wasm: bytes, root: Path) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[int, str, int]]]:
    """Return the functions and the lines of `ActorCode`."""
    names, counts = function_names(wasm), dict[int, int]()
    for block in code_blocks(wasm):
        counts[block.function] = counts.get(block.function, 0) + 1
    functions = tuple((function_label(names, index), count) for index, count in counts.items())
    return functions, tuple(_project_lines(wasm, source_lines(wasm), f"{root}/"))


def _project_lines(wasm: bytes, lines: tuple[SourceLine, ...], root: str) -> Iterator[tuple[int, str, int]]:
    offsets = [line.offset for line in lines]
    for number, block in enumerate(code_blocks(wasm)):
        places = lines[bisect_left(offsets, block.start) : bisect_left(offsets, block.end)]
        own = {(place.file.removeprefix(root), place.line) for place in places if place.file.startswith(root)}
        yield from ((number, file, line) for file, line in sorted(own))


def actor_coverage(codes: Iterable[ActorCode]) -> list[FileCoverage]:
    """Return the coverage of actors: their sources with lines, or each actor's name without any."""
    files: dict[str, dict[tuple[ItemKind, str, int, int], int]] = {}
    for index, code in enumerate(codes):
        for key, file, hit in _items(code, index):
            items = files.setdefault(file, {})
            items[key] = max(hit, items.get(key, 0))
    return [FileCoverage(file, tuple(_hits(items))) for file, items in sorted(files.items())]


def _items(code: ActorCode, index: int) -> Iterator[tuple[tuple[ItemKind, str, int, int], str, int]]:
    """Yield the items of a code with their files and hits; a function is at its first line."""
    places: dict[int, list[tuple[str, int]]] = {}
    for block, file, line in code.lines:
        places.setdefault(block, []).append((file, line))
    first, hits = 0, code.executed
    for name, count in code.functions:
        blocks = range(first, first + count)
        first += count
        own = [(file, line) for block in blocks for file, line in places.get(block, ())]
        if own or not code.lines:
            file, line = own[0] if own else (code.name, 0)
            yield (ItemKind.FUNCTION, name, 0 if own else blocks.start, line), file, hits[blocks.start]
        for block in blocks:
            for file, line in places.get(block, ()) if code.lines else ((code.name, 0),):
                yield (ItemKind.STATEMENT, str(index), block, line), file, hits[block]


def _hits(items: Mapping[tuple[ItemKind, str, int, int], int]) -> Iterator[ItemHits]:
    for (kind, name, _, line), hit in items.items():
        item = Item(kind, _NO_SPAN, _NO_SPAN, name if kind is ItemKind.FUNCTION else "")
        yield ItemHits(item, line, hit, hit)
