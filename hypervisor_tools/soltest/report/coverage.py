"""Source coverage: lines, statements, branches and functions, computed from instruction counts.

The selection of items from solc's syntax tree is forge's, so that figures can be compared: statements with an effect,
calls and operators within expressions, the paths of `if`, `try` and `require`, and the statements of assembly.
Functions without a body are left out, as are constructors, `receive` and `fallback` with an empty body: they have no
instructions.

The hits of an item are the executions of the first instruction in its source span, summed over all contracts compiled
from the source. The hits of a condition's path are the executions of the instruction that its jump leads to.

The code is compiled with settings equal to those of `forge coverage`. The optimizer merges instructions, so that some
executed statements have no instruction left. Coverage therefore turns off the optimizer and the IR pipeline. With
`ir_minimum`, for sources that then fail with "stack too deep", it compiles through the IR with the least optimization
that avoids the error.

Output formats: forge's text, lcov's (geninfo(1)), and for `--report bytecode` a listing of a contract's instructions
with execution counts and source positions.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.compile.releases import VERSION
from hypervisor_tools.soltest.compile.syntax_trees import Node, span_of
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import CompilerSettings
from hypervisor_tools.soltest.project.solidity_text import SourceText, SourceTexts
from hypervisor_tools.soltest.report.collecting import SuiteCoverage
from hypervisor_tools.soltest.trace.known_code import KnownCode, KnownContract, SourceSpan
from hypervisor_tools.soltest.value_text import table

_LEAST: Final[dict[str, Any]] = {
    "peephole": False,
    "inliner": False,
    "jumpdestRemover": False,
    "orderLiterals": False,
    "deduplicate": False,
    "cse": False,
    "constantOptimizer": False,
    "yul": True,
    "yulDetails": {"stackAllocation": True, "optimizerSteps": "u"},
}
_INLINER_SINCE: Final = (0, 8, 5)


def coverage_settings(compiler: CompilerSettings, *, ir_minimum: bool) -> CompilerSettings:
    """Return a project's compiler settings, changed for coverage."""
    if not ir_minimum:
        return compiler._replace(optimizer=False, runs=200, via_ir=False, optimizer_details=None)
    named = VERSION.fullmatch(compiler.version or "")
    knows_inliner = named is not None and tuple(map(int, named.group().split("."))) >= _INLINER_SINCE
    details = {key: value for key, value in _LEAST.items() if key != "inliner" or knows_inliner}
    return compiler._replace(via_ir=True, optimizer_details=details)


class ItemKind(Enum):
    """Kind of an item."""

    FUNCTION = "function"
    STATEMENT = "statement"
    BRANCH = "branch"


@dataclass(frozen=True, slots=True)
class Item:
    """A coverable item: the bytes of the source from `start` up to (not including) `end`.

    `name` is the name of a function, with its contract. A branch has its own number (`branch`) and that of its path
    (`path`). With `by_jump`, the paths are those of the last conditional jump in the span; otherwise the path begins
    with the first instruction of `first`.
    """

    kind: ItemKind
    start: int
    end: int
    name: str = ""
    branch: int = 0
    path: int = 0
    by_jump: bool = False
    first: tuple[int, int] | None = None


_PLAIN: Final = ("Break", "Continue", "EmitStatement", "RevertStatement")
_SPECIAL: Final = ("constructor", "receive", "fallback")
_OPERATORS: Final = ("Assignment", "UnaryOperation", "BinaryOperation", "Conditional")
_YUL_PLAIN: Final = (
    "YulVariableDeclaration", "YulAssignment", "YulLeave", "YulBreak", "YulContinue", "YulExpressionStatement",
)  # fmt: skip


def items_of(tree: Node) -> list[Item]:
    """Return the items of a source, contract by contract, without contracts that contain tests.

    Functions that share a name are numbered, also if they belong to different contracts.
    """
    found = list(_Visitor().source(tree))
    times = Counter(_function_name(item) for item in found if item.kind is ItemKind.FUNCTION)
    seen: Counter[str] = Counter()
    for index, item in enumerate(found):
        name = _function_name(item)
        if item.kind is ItemKind.FUNCTION and times[name] > 1:
            found[index] = replace(item, name=f"{item.name}.{seen[name]}")
            seen[name] += 1
    return found


def _function_name(item: Item) -> str:
    """Return a function's name without its contract."""
    return item.name.rpartition(".")[2]


class _Visitor:
    def __init__(self) -> None:
        self._branches = 0
        self._contract = ""

    def source(self, tree: Node) -> Iterator[Item]:
        for node in tree.get("nodes", ()):
            if node["nodeType"] == "ContractDefinition":
                found = [item for part in node["nodes"] for item in self._function(part, f"{node['name']}.")]
                if not any(_is_test(_function_name(item)) for item in found if item.kind is ItemKind.FUNCTION):
                    yield from found
            else:
                yield from self._function(node, "")

    def _function(self, node: Node, contract: str) -> Iterator[Item]:
        if node["nodeType"] not in ("FunctionDefinition", "ModifierDefinition") or node.get("body") is None:
            return
        kind = node.get("kind", "modifier")
        empty = not node["body"].get("statements")
        if empty and (kind in _SPECIAL or kind == "modifier"):
            return
        self._contract = contract
        yield Item(ItemKind.FUNCTION, *span_of(node), name=contract + (node["name"] or kind))
        yield from self._statement(node["body"])

    # --- statements -----------------------------------------------------------------------------------------------

    def _statement(self, node: Node | None) -> Iterator[Item]:
        if node is None:
            return
        match node["nodeType"]:
            case "Block" | "UncheckedBlock":
                for part in node["statements"]:
                    yield from self._statement(part)
            case "Return":
                yield Item(ItemKind.STATEMENT, *span_of(node))
                yield from self._expression(node.get("expression"))
            case "VariableDeclarationStatement":
                yield Item(ItemKind.STATEMENT, *span_of(node))
                yield from self._expression(node.get("initialValue"))
            case "ExpressionStatement":
                yield from self._expression(node["expression"])
            case "IfStatement":
                yield from self._if(node)
            case "TryStatement":
                yield from self._try(node)
            case "ForStatement":
                yield from self._statement(node.get("initializationExpression"))
                yield from self._expression(node.get("condition"))
                yield from self._statement(node.get("loopExpression"))
                yield from self._statement(node["body"])
            case "WhileStatement" | "DoWhileStatement":
                yield from self._expression(node["condition"])
                yield from self._statement(node["body"])
            case "InlineAssembly":
                yield from self._yul(node["AST"])
            case kind if kind in _PLAIN:
                yield Item(ItemKind.STATEMENT, *span_of(node))
            case _:
                pass

    def _if(self, node: Node) -> Iterator[Item]:
        branch, self._branches = self._branches, self._branches + 1
        then, other = node["trueBody"], node.get("falseBody")
        if _has_statements(then) or (other is not None and _has_statements(other)):
            yield Item(ItemKind.BRANCH, *span_of(then), branch=branch, first=span_of(then))
            if other is not None:
                first = span_of(other) if _has_statements(other) else None
                yield Item(ItemKind.BRANCH, *span_of(node), branch=branch, path=1, by_jump=first is None, first=first)
        yield from self._expression(node["condition"])
        yield from self._statement(then)
        yield from self._statement(other)

    def _try(self, node: Node) -> Iterator[Item]:
        branch, self._branches = self._branches, self._branches + 1
        path = 0
        for clause in node["clauses"]:
            start, end = span_of(clause)
            if path == 0 or _has_statements(clause["block"]):
                begin = span_of(node)[0] if path == 0 else start
                yield Item(ItemKind.BRANCH, begin, end, branch=branch, path=path, first=span_of(clause["block"]))
                path += 1
            elif clause.get("parameters"):
                yield Item(ItemKind.STATEMENT, start, end)
        yield from self._expression(node["externalCall"])
        for clause in node["clauses"]:
            yield from self._statement(clause["block"])

    # --- expressions ------------------------------------------------------------------------------------------------

    def _expression(self, node: Node | None) -> Iterator[Item]:
        if node is None:
            return
        kind = node["nodeType"]
        if kind in _OPERATORS and node.get("operator") != "delete":
            yield Item(ItemKind.STATEMENT, *span_of(node))
        if kind == "BinaryOperation":
            yield from self._expression(node["leftExpression"])
            yield from self._expression(node["rightExpression"])
        elif kind == "FunctionCall":
            if node["kind"] == "functionCall":
                yield Item(ItemKind.STATEMENT, *span_of(node))
            callee = node["expression"]
            if callee["nodeType"] == "Identifier" and callee["name"] == "require":
                branch, self._branches = self._branches, self._branches + 1
                for path in range(2):
                    yield Item(ItemKind.BRANCH, *span_of(node), branch=branch, path=path, by_jump=True)

    # --- assembly ---------------------------------------------------------------------------------------------------

    def _yul(self, node: Node) -> Iterator[Item]:
        match node["nodeType"]:
            case "YulBlock":
                for part in node["statements"]:
                    yield from self._yul(part)
            case "YulIf":
                branch, self._branches = self._branches, self._branches + 1
                yield Item(ItemKind.BRANCH, *span_of(node), branch=branch, by_jump=True)
                yield from _yul_call(node["condition"])
                yield from self._yul(node["body"])
            case "YulForLoop":
                yield Item(ItemKind.STATEMENT, *span_of(node["body"]))
                yield from _yul_call(node["condition"])
                for part in ("pre", "post", "body"):
                    yield from self._yul(node[part])
            case "YulSwitch":
                yield from _yul_call(node["expression"])
                for case in node["cases"]:
                    yield Item(ItemKind.STATEMENT, *span_of(case))
                    yield Item(ItemKind.STATEMENT, *span_of(case["body"]))
                    yield from self._yul(case["body"])
            case "YulFunctionDefinition":
                yield Item(ItemKind.FUNCTION, *span_of(node), name=self._contract + node["name"])
                yield from self._yul(node["body"])
            case kind if kind in _YUL_PLAIN:
                yield Item(ItemKind.STATEMENT, *span_of(node))
            case _:
                pass


def _yul_call(node: Node) -> Iterator[Item]:
    """Yield a condition that is a call; literals and names are not items."""
    if node["nodeType"] == "YulFunctionCall":
        yield Item(ItemKind.STATEMENT, *span_of(node))


def _has_statements(node: Node) -> bool:
    if node["nodeType"] in ("Block", "UncheckedBlock"):
        return bool(node["statements"])
    return node["nodeType"] != "InlineAssembly" or bool(node["AST"]["statements"])


def _is_test(name: str) -> bool:
    starts: Sequence[str] = ("test", "invariant", "statefulFuzz", "table")
    return name.startswith(tuple(starts))


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
        """Hits by line: as in forge those of the line's first item, or its executions if it has only branches.

        Of items without positions, those of native actors, the most frequent counts.
        """
        hits: dict[int, int] = {}
        for found in sorted(self.items, key=lambda found: (found.item.start, -found.hits)):
            if found.item.kind is not ItemKind.BRANCH:
                hits.setdefault(found.line, found.hits)
        for found in self.items:
            hits.setdefault(found.line, found.reached)
        hits.pop(0, None)  # items without a line: native actors without debug information
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
    return "".join(f"{line}\n" for found in files if found.lines for line in _lcov(found))


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
    from runtimes.evm.forks import LATEST_FORK, fork_named  # it loads the machine

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
