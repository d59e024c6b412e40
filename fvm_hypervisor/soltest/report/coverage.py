"""Source coverage: lines, statements, branches and functions, computed from instruction counts.

The hits of an item are the executions of the first instruction in its source span, summed over all contracts compiled
from the source. The hits of a condition's path are the executions of the instruction that its jump leads to. The code
is compiled with the settings of `coverage_settings`. Output formats: forge's text, and lcov's (geninfo(1)).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from fvm_hypervisor.soltest.collected import SuiteCoverage
from fvm_hypervisor.soltest.compile.syntax_trees import Node
from fvm_hypervisor.soltest.coverage_items import Item, ItemKind, items_of
from fvm_hypervisor.soltest.project.solidity_text import SourceText, SourceTexts
from fvm_hypervisor.soltest.text_table import table
from fvm_hypervisor.soltest.trace.known_code import KnownCode, KnownContract, SourceSpan
from hypervisor.errors import InvalidInput
from hypervisor.text import printable

_MAX_TEXT: Final = 60
"""Maximum number of characters of an item's text."""
_PUSH1, _PUSH4, _JUMPI = 0x60, 0x63, 0x57


@dataclass(frozen=True, slots=True)
class ItemHits:
    """An item with its line number and hits. `reached` counts the first instruction in its span."""

    item: Item
    line: int
    hits: int
    reached: int


@dataclass(frozen=True)
class FileCoverage:
    """The coverage of one source."""

    file: str
    items: tuple[ItemHits, ...]

    @cached_property
    def lines(self) -> dict[int, int]:
        """Hits by line: those of the line's most frequent item, or its executions if it has only branches."""
        hits: dict[int, int] = {}
        for found in self.items:
            if found.item.kind is not ItemKind.BRANCH:
                hits[found.line] = max(found.hits, hits.get(found.line, 0))
        for found in self.items:
            hits.setdefault(found.line, found.reached)
        return dict(sorted(hits.items()))

    def of(self, kind: ItemKind) -> list[ItemHits]:
        """Return the items of a kind."""
        return [found for found in self.items if found.item.kind is kind]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the covered and the total number of lines, statements, branches and functions."""
        found = {"lines": [*self.lines.values()]}
        names = {ItemKind.STATEMENT: "statements", ItemKind.BRANCH: "branches", ItemKind.FUNCTION: "functions"}
        found |= {name: [item.hits for item in self.of(kind)] for kind, name in names.items()}
        return {name: (sum(map(bool, hits)), len(hits)) for name, hits in found.items()}


def coverage(
    collected: SuiteCoverage, known: KnownCode, trees: Mapping[str, Node], sources: SourceTexts
) -> list[FileCoverage]:
    """Return the coverage of each source that has a syntax tree, ordered by path. `trees` are solc's, by path."""
    items = {file: items_of(tree) for file, tree in sorted(trees.items())}
    hits = {file: [(0, 0)] * len(found) for file, found in items.items()}
    for (file, name, creates), visits in collected.visits.items():
        contract = known.find_by_name(file, name)
        if contract is not None:
            code = _Code.of(contract, creates)
            for source, found in items.items():
                if source in code.files:
                    _count(hits[source], found, source, code, visits)
    return [
        FileCoverage(file, tuple(_cover(found, hits[file], sources.get(file))))
        for file, found in items.items()
        if found
    ]


def _count(hits: list[tuple[int, int]], items: Sequence[Item], file: str, code: _Code, visits: Counter[int]) -> None:
    for place, item in enumerate(items):
        anchors = code.anchor(item, file), code.first((item.start, item.end), file)
        count, reached = (0 if counter is None else visits[counter] for counter in anchors)
        hits[place] = hits[place][0] + count, hits[place][1] + reached


def _cover(items: Sequence[Item], hits: Sequence[tuple[int, int]], source: SourceText | None) -> Iterator[ItemHits]:
    for item, (count, reached) in zip(items, hits, strict=True):
        yield ItemHits(item, 0 if source is None else source.line(item.start), count, reached)


# --- the instruction of an item ---------------------------------------------------------------------------------------


class _Code:
    """A contract's code with the source spans of its instructions."""

    def __init__(self, code: bytes, places: Mapping[int, SourceSpan]) -> None:
        self._code = code
        self._places = places
        self.files: dict[str, tuple[list[int], list[int]]] = {}
        first: dict[str, dict[int, int]] = {}
        for counter, span in places.items():
            if span.file:
                first.setdefault(span.file, {}).setdefault(span.start, counter)
        for file, starts in first.items():
            ordered = sorted(starts.items())
            self.files[file] = [start for start, _ in ordered], [counter for _, counter in ordered]

    @classmethod
    def of(cls, contract: KnownContract, creates: bool) -> _Code:
        """Return a contract's init code or runtime code."""
        if creates:
            return cls(contract.creation.code, contract.creation_places)
        return cls(contract.runtime.code, contract.runtime_places)

    def anchor(self, item: Item, file: str) -> int | None:
        """Return the program counter whose count is an item's hits, or None if the code has none."""
        if item.by_jump:
            return self._path_start(item, file)
        span = item.first or (item.start, item.end)
        found = self.first(span, file)
        if found is None and item.first is not None and item.path == 1:
            return self._path_start(item, file)
        return found

    def first(self, span: tuple[int, int], file: str) -> int | None:
        """Return the counter of the first instruction in a span, or None."""
        starts, counters = self.files[file]
        inside = counters[bisect_left(starts, span[0]) : bisect_right(starts, span[1])]
        return min(inside, default=None)

    def _path_start(self, item: Item, file: str) -> int | None:
        """Return the counter after the last conditional jump in an item's span (path 0), or its target (path 1)."""
        jumps = [jump for jump in self._jumps.get(file, ()) if item.start <= jump[0] <= item.end]
        if not jumps:
            return None
        _, after, to = max(jumps, key=lambda jump: jump[1])
        return to if item.path else after

    @cached_property
    def _jumps(self) -> dict[str, list[tuple[int, int, int]]]:
        """Conditional jumps by file: the span's start, the counter after the jump, and the target's counter."""
        found: dict[str, list[tuple[int, int, int]]] = {}
        code = self._code
        for counter, span in self._places.items():
            opcode = code[counter]
            size = opcode - _PUSH1 + 1
            after = counter + 1 + size
            if _PUSH1 <= opcode <= _PUSH4 and after < len(code) and code[after] == _JUMPI:
                to = int.from_bytes(code[counter + 1 : after], "big")
                found.setdefault(span.file, []).append((span.start, after + 1, to))
        return found


# --- output -----------------------------------------------------------------------------------------------------------

_HEAD: Final = ("File", "% Lines", "% Statements", "% Branches", "% Funcs")
_NAMES: Final = ("lines", "statements", "branches", "functions")


def coverage_lines(files: Sequence[FileCoverage]) -> list[str]:
    """Return the table of all files, with the totals in the last row."""
    rows = [(found.file, *(_share(found.counts()[name]) for name in _NAMES)) for found in files]
    whole = [tuple(map(sum, zip(*(found.counts()[name] for found in files), strict=True))) for name in _NAMES]
    return table(_HEAD, [*rows, ("Total", *(_share((part[0], part[1]) if part else (0, 0)) for part in whole))])


def without(files: Sequence[FileCoverage], pattern: str | None) -> list[FileCoverage]:
    """Return the files whose paths do not match a regular expression. Raises InvalidInput if it is malformed."""
    try:
        refused = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"'{pattern}' is not a valid regular expression: {error}") from None
    return [found for found in files if refused is None or not refused.search(found.file)]


def item_lines(files: Sequence[FileCoverage], root: Path) -> Iterator[str]:
    """Yield each item with its position, hits and text."""
    sources = SourceTexts(root)
    for found in files:
        source = sources.get(found.file)
        yield ""
        yield f"{found.file}:"
        for covered in found.items:
            item = covered.item
            text = b"" if source is None else source.text[item.start : item.end]
            words = " ".join(text.decode("utf-8", "replace").split())
            name = f' "{item.name}"' if item.name else ""
            path = f" (branch: {item.branch}, path: {item.path})" if item.kind is ItemKind.BRANCH else ""
            place = f"line {covered.line}, bytes {item.start}..{item.end}"
            yield f"- {item.kind.value.capitalize()}{name}{path} ({place}, hits: {covered.hits}) -> {_short(words)}"


def _short(words: str) -> str:
    shown = words if len(words) <= _MAX_TEXT else f"{words[: _MAX_TEXT // 2]}...{words[-_MAX_TEXT // 2 :]}"
    return f'"{printable(shown)}"'


def _share(count: tuple[int, int]) -> str:
    covered, all_ = count
    return f"{100 * covered / all_ if all_ else 100:.2f}% ({covered}/{all_})"


def lcov(files: Sequence[FileCoverage]) -> str:
    """Return the coverage in lcov's format."""
    return "".join(f"{line}\n" for found in files for line in _lcov(found))


def _lcov(found: FileCoverage) -> Iterator[str]:
    counts = found.counts()
    yield "TN:"
    yield f"SF:{found.file}"
    functions = found.of(ItemKind.FUNCTION)
    yield from (f"FN:{function.line},{function.item.name}" for function in functions)
    yield from (f"FNDA:{function.hits},{function.item.name}" for function in functions)
    yield f"FNF:{counts['functions'][1]}"
    yield f"FNH:{counts['functions'][0]}"
    for branch in found.of(ItemKind.BRANCH):
        taken = str(branch.hits) if branch.hits or found.lines.get(branch.line) else "-"
        yield f"BRDA:{branch.line},{branch.item.branch},{branch.item.path},{taken}"
    yield f"BRF:{counts['branches'][1]}"
    yield f"BRH:{counts['branches'][0]}"
    yield from (f"DA:{line},{hits}" for line, hits in found.lines.items())
    yield f"LF:{counts['lines'][1]}"
    yield f"LH:{counts['lines'][0]}"
    yield "end_of_record"


def coverage_json(files: Sequence[FileCoverage]) -> dict[str, Any]:
    """Return the counts (covered and all) and the hits by line of each file, as documented JSON."""
    return {
        found.file: {
            **{name: {"covered": count[0], "all": count[1]} for name, count in found.counts().items()},
            "hits": {str(line): hits for line, hits in found.lines.items()},
        }
        for found in files
    }
