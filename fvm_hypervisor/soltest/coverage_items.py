"""Coverable items of a source: functions, statements and branches, from solc's syntax tree.

The selection is forge's, so that figures can be compared: statements with an effect, calls and operators within
expressions, the paths of `if`, `try` and `require`, and the statements of assembly. Functions without a body are left
out, as are constructors, `receive` and `fallback` with an empty body: they have no instructions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from fvm_hypervisor.soltest.compile.syntax_trees import Node, span_of


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
