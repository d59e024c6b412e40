"""Mutants of a source, from solc's syntax tree.

The operator groups are those of slither-mutate, Gambit and forge. For relational operators only the non-subsumed
replacements are used (Kaminski, Ammann and Offutt, "Improving logic-based testing", 2013).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypervisor_tools.soltest.compile.syntax_trees import Node, span_of, type_of_node
from hypervisor_tools.soltest.project.test_settings import OPERATORS

Change = tuple[str, int, int, str]
"""Operator group, first byte, end, and replacement."""

_BINARY: Final[Mapping[str, Sequence[str]]] = {
    "+": ("-", "*"), "-": ("+", "*"), "*": ("/", "+"), "/": ("*", "%"), "%": ("*", "/"), "**": ("*",),
    "<<": (">>",), ">>": ("<<",), "&": ("|", "^"), "|": ("&", "^"), "^": ("&", "|"),
    "<": ("<=", "!="), "<=": ("<", "=="), ">": (">=", "!="), ">=": (">", "=="),
    "==": ("!=",), "!=": ("==",), "&&": ("||",), "||": ("&&",),
}  # fmt: skip
_ORDERED: Final[Mapping[str, Sequence[str]]] = {"==": ("<=", ">="), "!=": ("<", ">")}
"""Further replacements for numbers."""
_SAME_ABOVE: Final = {">": "!=", "!=": ">", "==": "<=", "<=": "=="}
"""Operators with the same result if the left number is never below the right one, such as an unsigned one and 0."""
_SAME_BELOW: Final = {"<": "!=", "!=": "<", "==": ">=", ">=": "=="}
"""Operators with the same result if the left number is never above the right one, such as `type(uint256).max`."""
_ASSIGNMENT: Final[Mapping[str, Sequence[str]]] = {
    "+=": ("-=", "="), "-=": ("+=", "="), "*=": ("/=", "="), "/=": ("*=", "="), "%=": ("*=", "="),
    "<<=": (">>=",), ">>=": ("<<=",), "&=": ("|=", "="), "|=": ("&=", "="), "^=": ("&=", "="),
}  # fmt: skip
_COMPARISONS: Final = ("<", "<=", ">", ">=", "==", "!=")
_YUL: Final[Mapping[str, Sequence[str]]] = {
    "add": ("sub",), "sub": ("add",), "mul": ("div",), "div": ("mul",), "sdiv": ("mul",), "mod": ("div",),
    "smod": ("sdiv",), "addmod": ("mulmod",), "mulmod": ("addmod",), "and": ("or",), "or": ("and",), "xor": ("and",),
    "shl": ("shr",), "shr": ("shl",), "sar": ("shr",), "lt": ("gt",), "gt": ("lt",), "slt": ("sgt",), "sgt": ("slt",),
}  # fmt: skip
_CHECKS: Final = ("require", "assert")
_DELETED: Final = ("EmitStatement", "RevertStatement", "Break", "Continue")
_DELETED_YUL: Final = ("YulExpressionStatement", "YulAssignment")
_LOOPS: Final = ("ForStatement", "WhileStatement", "DoWhileStatement")
_NUMBER: Final = re.compile(r"t_u?int\d+$")
_INTEGER: Final = re.compile(r"(?:t_magic_meta_type_)?t_(u?)int(\d+)$")
"""Identifiers of integer types, and of `type(T)` for one."""
_WHOLE: Final = re.compile(r"t_rational_(minus_)?(\d+)_by_1$")
"""Identifiers of the types of constant whole numbers."""
_HEX: Final = re.compile(r"0x[0-9a-fA-F_]+$")
_ADDRESS_DIGITS: Final = 40
_NOT_CODE: Final = (
    "PragmaDirective", "ImportDirective", "StructuredDocumentation", "EventDefinition", "ErrorDefinition",
    "StructDefinition", "EnumDefinition", "UserDefinedValueTypeDefinition", "UsingForDirective", "ParameterList",
    "ArrayTypeName", "Mapping", "FunctionTypeName", "OverrideSpecifier",
)  # fmt: skip
_BODIES: Final = ("FunctionDefinition", "ModifierDefinition")
_WHITE_SPACE: Final = re.compile(rb"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of a source: `original`, which begins at byte `start`, becomes `replacement`.

    `enclosing_spans` has the spans (first byte, end) of the changed node and of the nodes around it, up to the
    definition of the function or state variable. `line` and `column` count from 1.
    """

    file: str
    contract: str
    operator: str
    start: int
    original: str
    replacement: str
    line: int
    column: int
    enclosing_spans: tuple[tuple[int, int], ...]
    is_constant: bool = False
    """True if the change is in a constant, for which the code may have no instructions."""

    def apply(self, text: str) -> str:
        """Return the changed source."""
        data = text.encode()
        end = self.start + len(self.original.encode())
        return (data[: self.start] + self.replacement.encode() + data[end:]).decode()

    def lines(self, text: str) -> tuple[str, str]:
        """Return the line before and after the change; lines of a longer change are joined."""
        data = text.encode()
        end = self.start + len(self.original.encode())
        first = data.rfind(b"\n", 0, self.start) + 1
        last = data.find(b"\n", end)
        before, after = data[first : self.start], data[end : len(data) if last < 0 else last]
        return _join_lines(before + self.original.encode() + after), _join_lines(
            before + self.replacement.encode() + after
        )


def _join_lines(line: bytes) -> str:
    return " ".join(line.decode().split())


def mutants_of(
    file: str, tree: Node, text: str, operators: Sequence[str] = OPERATORS, excluded: Collection[str] = ()
) -> list[Mutant]:
    """Return the mutants of a source in order of their positions, without those of the `excluded` contracts."""
    source = text.encode()
    found: dict[tuple[int, int, str], Mutant] = {}
    for contract, node, parents in _nodes(tree, excluded):
        for operator, start, end, replacement in _changes(node, parents, source):
            original = source[start:end].decode()
            key = start, end, replacement
            if operator in operators and original != replacement and key not in found:
                line_start = source.rfind(b"\n", 0, start) + 1
                definition = next((one for one in parents if one["nodeType"] == "VariableDeclaration"), {})
                found[key] = Mutant(
                    file, contract, operator, start, original, replacement,
                    line=source.count(b"\n", 0, start) + 1,
                    column=len(source[line_start:start].decode()) + 1,
                    enclosing_spans=tuple(span_of(one) for one in (node, *parents)),
                    is_constant=bool(definition.get("constant")),
                )  # fmt: skip
    return [found[key] for key in sorted(found)]


# --- the nodes of a tree ----------------------------------------------------------------------------------------------


def _nodes(tree: Node, excluded: Collection[str]) -> Iterator[tuple[str, Node, tuple[Node, ...]]]:
    """Yield each node of code with its contract and the nodes around it, the innermost first."""
    todo: list[tuple[str, Any, tuple[Node, ...]]] = []
    for node in tree.get("nodes", ()):
        if node["nodeType"] != "ContractDefinition":
            todo.append(("", node, ()))
        elif node["contractKind"] != "interface" and node["name"] not in excluded:
            todo += [(str(node["name"]), part, ()) for part in (*node["baseContracts"], *node["nodes"])]
    while todo:
        contract, node, parents = todo.pop()
        kind = node["nodeType"]
        if kind in _NOT_CODE or (kind in _BODIES and node.get("body") is None):
            continue
        yield contract, node, parents
        inner = (node, *parents)
        for value in node.values():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, dict) and "nodeType" in part:
                    todo.append((contract, part, inner))


# --- the changes of a node --------------------------------------------------------------------------------------------


def _changes(node: Node, parents: Sequence[Node], source: bytes) -> Iterator[Change]:
    kind = node["nodeType"]
    parent = parents[0] if parents else {"nodeType": ""}
    if kind == "BinaryOperation":
        is_loop = parent["nodeType"] in _LOOPS and parent.get("condition") is node
        yield from _binary(node, source, is_loop)
    elif kind == "Assignment":
        for other in _ASSIGNMENT.get(node["operator"], ()):
            yield "assignment", *_between(node["leftHandSide"], node["rightHandSide"], node["operator"], source), other
    elif kind == "UnaryOperation":
        yield from _unary(node)
    elif kind == "Literal":
        yield from _literal(node, source)
    elif kind in ("IfStatement", "Conditional", *_LOOPS):
        yield from _condition(node, source)
    elif kind == "FunctionCall" and _callee_name(node) in _CHECKS and node["arguments"]:
        yield "require", *span_of(node["arguments"][0]), "false"
        yield "require", *span_of(node["arguments"][0]), "true"
    elif kind == "MemberAccess" and node["memberName"] == "delegatecall" and "baredelegatecall" in type_of_node(node):
        end = span_of(node)[1]
        yield "elim-delegate", end - len("delegatecall"), end, "call"
    elif kind == "ModifierInvocation" and node.get("kind") == "modifierInvocation":
        yield "modifier", *span_of(node), ""
    elif kind == "Return" and node.get("expression") is not None:
        yield from _return(node, parents)
    elif kind == "ExpressionStatement":
        is_loop_part = parent["nodeType"] == "ForStatement" and parent["body"] is not node
        if not is_loop_part and _callee_name(node["expression"]) not in _CHECKS:
            is_delete = node["expression"].get("operator") == "delete"
            yield _delete_statement("delete-expression" if is_delete else "delete-statement", node, source)
    elif kind in _DELETED:
        yield _delete_statement("delete-statement", node, source)
    elif kind in _DELETED_YUL:
        yield "assembly", *span_of(node), "{}"
    elif kind == "YulFunctionCall":
        start, end = span_of(node["functionName"])
        yield from (("assembly", start, end, other) for other in _YUL.get(node["functionName"]["name"], ()))


def _callee_name(node: Node) -> str:
    """Return the name of a called function; empty for other expressions."""
    callee = node.get("expression") or {}
    return str(callee.get("name", "")) if node["nodeType"] == "FunctionCall" else ""


def _between(left: Node, right: Node, operator: str, source: bytes) -> tuple[int, int]:
    """Return the span of an operator between its operands. Comments and parentheses are skipped."""
    position = span_of(left)[1]
    end = span_of(right)[0]
    sign = operator.encode()
    while position < end:
        position = _skip_space(source, position)
        if source.startswith(sign, position):
            return position, position + len(sign)
        position += 1
    return end, end


def _skip_space(source: bytes, position: int) -> int:
    """Return the position after white space and comments."""
    found = _WHITE_SPACE.match(source, position)
    return position if found is None else found.end()


def _equivalent(node: Node, is_loop: bool) -> str:
    """Return the operator that is equivalent in a comparison with a limit of a type, or in a loop; empty if none.

    In the condition of a loop, `!=` is almost always equivalent to `<`.
    """
    operator, left, right = node["operator"], node["leftExpression"], node["rightExpression"]
    (left_low, left_high), (right_low, right_high) = _bounds(left), _bounds(right)
    if left_low is not None and right_high is not None and left_low >= right_high:
        return _SAME_ABOVE.get(operator, "")
    if left_high is not None and right_low is not None and left_high <= right_low:
        return _SAME_BELOW.get(operator, "")
    return "!=" if is_loop and operator != "==" else ""


def _bounds(node: Node) -> tuple[int | None, int | None]:
    """Return the least and the largest value of an expression, equal for a constant; None if they are not known."""
    while node["nodeType"] == "TupleExpression" and len(node["components"]) == 1:
        node = node["components"][0]
    if node["nodeType"] == "Literal" and node.get("value") == "0":
        return 0, 0
    whole = _WHOLE.match(type_of_node(node))
    if whole is not None:
        number = -int(whole[2]) if whole[1] else int(whole[2])
        return number, number
    is_limit = node["nodeType"] == "MemberAccess" and node["memberName"] in ("min", "max")
    kind = _INTEGER.match(type_of_node(node["expression"] if is_limit else node))
    if kind is None:
        return None, None
    bits = int(kind[2])
    low, high = (0, (1 << bits) - 1) if kind[1] else (-1 << bits - 1, (1 << bits - 1) - 1)
    if is_limit and type_of_node(node["expression"]).startswith("t_magic"):
        return (low, low) if node["memberName"] == "min" else (high, high)
    return low, high


def _binary(node: Node, source: bytes, is_loop: bool) -> Iterator[Change]:
    """Yield replacements of a binary operator, except equivalent ones."""
    operator, left, right = node["operator"], node["leftExpression"], node["rightExpression"]
    excluded = _equivalent(node, is_loop)
    span = _between(left, right, operator, source)
    ordered = _NUMBER.match(type_of_node(left)) or _NUMBER.match(type_of_node(right))
    for other in (*_BINARY.get(operator, ()), *(_ORDERED.get(operator, ()) if ordered else ())):
        if other != excluded:
            yield "binary-op", *span, other
    if operator in ("&&", "||"):
        for operand in (left, right):
            yield "binary-op", *span_of(node), source[slice(*span_of(operand))].decode()


def _unary(node: Node) -> Iterator[Change]:
    start, end = span_of(node)
    operator = node["operator"]
    if operator in ("++", "--"):
        other = "--" if operator == "++" else "++"
        yield ("unary-op", start, start + 2, other) if node["prefix"] else ("unary-op", end - 2, end, other)
    elif operator in ("!", "~", "-"):
        yield "unary-op", start, start + 1, ""


def _literal(node: Node, source: bytes) -> Iterator[Change]:
    start, end = span_of(node)
    text = source[start:end].decode()
    if node["kind"] == "bool":
        yield "literal", start, end, "false" if text == "true" else "true"
    elif node["kind"] == "number" and _HEX.match(text):
        digits = text[2:].replace("_", "")
        if len(digits) != _ADDRESS_DIGITS:  # an address has a checksum
            for value in {(int(digits, 16) + 1) % 16 ** len(digits), 0}:
                yield "literal", start, end, f"0x{value:0{len(digits)}x}"
    elif node["kind"] == "number":
        yield "literal", start, end, "1" if text == "0" else f"({text} + 1)"
        if text not in ("0", "1"):
            yield "literal", start, end, "0"


def _condition(node: Node, source: bytes) -> Iterator[Change]:
    condition = node.get("condition")
    if condition is None:
        return
    start, end = span_of(condition)
    if condition["nodeType"] == "Literal":
        return
    yield "condition", start, end, "false"
    if node["nodeType"] in _LOOPS:
        return  # it would loop forever
    yield "condition", start, end, "true"
    operator = condition.get("operator", "")
    if operator not in (*_COMPARISONS, "&&", "||", "!"):
        yield "condition", start, end, f"!({source[start:end].decode()})"


def _delete_statement(operator: str, node: Node, source: bytes) -> Change:
    """Return the change of a statement, with its semicolon, into an empty block."""
    start, end = span_of(node)
    after = _skip_space(source, end)
    return operator, start, after + 1 if source[after : after + 1] == b";" else end, "{}"


def _return(node: Node, parents: Sequence[Node]) -> Iterator[Change]:
    function = next((one for one in parents if one["nodeType"] == "FunctionDefinition"), None)
    values = [] if function is None else function["returnParameters"]["parameters"]
    if len(values) != 1 or node["expression"]["nodeType"] == "Literal":
        return
    for default in _defaults(type_of_node(values[0])):
        yield "return", *span_of(node["expression"]), default


def _defaults(kind: str) -> Sequence[str]:
    """Return the default value of a type; both values of `bool`; nothing for types without a short literal."""
    if _NUMBER.match(kind):
        return ("0",)
    if kind == "t_bool":
        return "false", "true"
    if kind in ("t_address", "t_address_payable"):
        return ("address(0)" if kind == "t_address" else "payable(address(0))",)
    if re.match(r"t_bytes\d+$", kind):
        return (f"{kind[2:]}(0)",)
    return ('""',) if kind in ("t_string_memory_ptr", "t_bytes_memory_ptr") else ()
