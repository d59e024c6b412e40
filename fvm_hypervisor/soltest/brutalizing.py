"""Sources with dirty bits and memory (`--brutalize`), which reveal inline assembly that relies on clean ones.

Solidity leaves the unused bits of a short value, the scratch space and unallocated memory undefined, but usually they
are zero. Each change keeps the meaning of the Solidity code:

- a conversion to `address`, `uintN`, `intN` or `bytesN` below 32 bytes sets unused bits of its result;
- an external function with inline assembly starts with junk in the scratch space and in 1,024 bytes of unallocated
  memory, and with a free memory pointer that is not a multiple of 32.

Source: forge 1.8, crates/forge/src/brutalizer. The changes are the same, the junk differs. Conversions of literals are
left as they are. The IR code generator (`via_ir`) cleans converted values, so only memory is dirty there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from fvm_hypervisor.soltest.compile.syntax_trees import Node, span_of, type_of_node

_Insertion = tuple[int, str]
"""Offset in bytes, at which there is no other insertion, and text."""
_TYPE: Final = re.compile(r"t_(uint|int|bytes)(\d+)|t_(address)(?:_payable)?")
_LITERALS: Final = ("t_rational", "t_stringliteral")
_BITS: Final = {"uint": 1, "int": 1, "bytes": 8}
_WORD: Final = 256
_JUNK_SIZE: Final = 0x400
"""Bytes of junk in unallocated memory."""


def brutalize(file: str, tree: Node, text: str) -> str:
    """Return a source with dirty bits and memory; lines keep their numbers. `tree` is solc's syntax tree of it."""
    data = text.encode()
    parts, end = [], 0
    for offset, inserted in sorted(_insertions(file, tree, data)):
        parts += [data[end:offset], inserted.encode()]
        end = offset
    return b"".join([*parts, data[end:]]).decode()


def _insertions(file: str, tree: Node, data: bytes) -> Iterator[_Insertion]:
    todo = [tree]
    while todo:
        node = todo.pop()
        kind = node.get("nodeType")
        if kind == "FunctionCall":
            yield from _dirty_bits(file, node, data)
        elif kind == "FunctionDefinition":
            yield from _dirty_memory(file, node)
        todo += _parts(node)


def _dirty_bits(file: str, node: Node, data: bytes) -> Iterator[_Insertion]:
    """Yield the insertions around a conversion, which convert its result to a word, change it, and convert it back."""
    found = _TYPE.fullmatch(type_of_node(node))
    if (
        node.get("kind") != "typeConversion"
        or found is None
        or type_of_node(node["arguments"][0]).startswith(_LITERALS)
    ):
        return
    start, end = span_of(node)
    name, size = (found[1], int(found[2])) if found[1] else ("address", 20)
    used = 160 if name == "address" else size * _BITS[name]
    if used >= _WORD:
        return
    mask = _number(file, start, _WORD - used) | 1
    high = f" ^ (uint256({mask}) << {used})"  # in decimal: 40 hex digits are an address
    if name == "uint":
        before, after = f"uint{size}(uint256(", f"){high})"
    elif name == "int":
        before, after = f"int{size}(int256(uint256(int256(", f")){high}))"
    elif name == "bytes":
        before, after = f"bytes{size}(bytes32(uint256(bytes32(", f")) ^ uint256({mask})))"
    else:
        is_payable = data.startswith(b"payable", start)
        before, after = "address(uint160(uint256(uint160(address(", f"))){high}))"
        before, after = (f"payable({before}", f"{after})") if is_payable else (before, after)
    yield start, before
    yield end, after


def _dirty_memory(file: str, node: Node) -> Iterator[_Insertion]:
    """Yield the insertion at the start of an external function with inline assembly."""
    body = node.get("body")
    if node.get("kind") != "function" or node.get("visibility") != "external" or not body or not _has_assembly(body):
        return
    start = span_of(body)[0] + 1
    words = [_number(f"{file}:{index}", start, _WORD) for index in range(3)]
    offset = _number(file, start, 5) | 1
    yield (
        start,
        f" /** @solidity memory-safe-assembly */ assembly {{"
        f" mstore(0x00, {words[0]:#x}) mstore(0x20, {words[1]:#x}) let junk_start := mload(0x40)"
        f" mstore(junk_start, {words[2]:#x}) for {{ let junk_at := 0x20 }} lt(junk_at, {_JUNK_SIZE:#x})"
        " { junk_at := add(junk_at, 0x20) } { mstore(add(junk_start, junk_at),"
        " keccak256(add(junk_start, sub(junk_at, 0x20)), 0x20)) }"
        f" mstore(0x40, add(junk_start, {offset})) }} ",
    )


def _has_assembly(body: Node) -> bool:
    todo = [body]
    while todo:
        node = todo.pop()
        if node.get("nodeType") == "InlineAssembly":
            return True
        todo += _parts(node)
    return False


def _parts(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below a node."""
    for value in node.values():
        yield from (part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict))


def _number(name: str, place: int, bits: int) -> int:
    """Return a number that depends only on a name and an offset, so that runs are repeatable."""
    return int.from_bytes(sha256(f"{name}:{place}".encode()).digest(), "big") >> (_WORD - bits)
