"""solc's syntax trees and storage layouts of a project's sources, and brutalized sources.

Coverage reads statements and branches from syntax trees; `vm.getStorageSlots` and state diffs use storage layouts. The
same compiler makes both from the same sources, but without code, which takes a fraction of the time; layouts only if a
source uses these cheatcodes. Libraries have no trees. The latest trees of a project are cached in the user's folder,
out of a checkout's reach.

Sources with dirty bits and memory (`--brutalize`) reveal inline assembly that relies on clean ones. Solidity leaves the
unused bits of a short value, the scratch space and unallocated memory undefined, but usually they are zero. Each change
keeps the meaning of the Solidity code:

- a conversion to `address`, `uintN`, `intN` or `bytesN` below 32 bytes sets unused bits of its result;
- an external function with inline assembly starts with junk in the scratch space and in 1,024 bytes of unallocated
  memory, and with a free memory pointer that is not a multiple of 32.

Source: forge 1.8, crates/forge/src/brutalizer. The changes are the same, the junk differs. Conversions of literals are
left as they are. The IR code generator (`via_ir`) cleans converted values, so only memory is dirty there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Final

import orjson

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded, user_folder
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.compiling import compile_json, standard_json
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import Sources

Node = Mapping[str, Any]
"""A node of a syntax tree, as solc prints it."""
Trees = dict[str, Node]
"""Syntax trees by source."""
_MAX_SIZE: Final = 256 << 20
"""Maximum size of cached trees in bytes."""
_MAX_AGE: Final = 30 * 86400
"""Lifetime of cached trees in seconds."""


def span_of(node: Node) -> tuple[int, int]:
    """Return the offsets in bytes of a node's start and end."""
    start, length, *_ = map(int, str(node["src"]).split(":"))
    return start, start + length


def type_of_node(node: Node) -> str:
    """Return solc's identifier of a node's type, such as `t_uint256`; empty for a node without one."""
    return str((node.get("typeDescriptions") or {}).get("typeIdentifier", ""))


def syntax_trees(project: Project, sources: Sources, names: Iterable[str], solc: Solc) -> Trees:
    """Return the trees of the named sources by path. Raises CompileError with the compiler's messages."""
    wanted = sorted(names)
    if not wanted:
        return {}  # the compiler rejects an empty list of sources
    compiler_input = standard_json(project, sources, solc.version, wanted)
    compiler_input["settings"]["outputSelection"] = {name: {"": ["ast"]} for name in wanted}
    identity = orjson.dumps([str(solc.path), solc.version, compiler_input], option=orjson.OPT_SORT_KEYS)
    file, key = _file_of(project), sha256(identity).hexdigest()
    cached = None if file is None else _read_cached(file, key)
    if cached is not None:
        return cached
    found = compile_json(solc, compiler_input).get("sources", {})
    trees = {name: found[name]["ast"] for name in wanted if name in found}
    if file is not None:
        _store(file, key, trees)
    return trees


def _file_of(project: Project) -> Path | None:
    """Return the cache file of a project; None for a user without a home."""
    try:
        folder = user_folder("cache") / "syntax-trees"
    except RuntimeError:
        return None
    return folder / f"{sha256(str(project.root.resolve()).encode()).hexdigest()[:32]}.json"


def _read_cached(file: Path, key: str) -> Trees | None:
    """Return the cached trees of exactly these sources, or None."""
    try:
        content = orjson.loads(read_bounded(file, _MAX_SIZE, "the syntax trees"))
        trees: Trees = {str(name): dict(tree) for name, tree in content["trees"].items()}
        return trees if content["key"] == key else None
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError):
        return None


def _store(file: Path, key: str, trees: Trees) -> None:
    """Cache the trees, and delete those of projects that have not changed for long. Errors are ignored."""
    with suppress(OSError, InvalidInput, orjson.JSONEncodeError):  # orjson has a limit of nesting
        content = orjson.dumps({"key": key, "trees": trees})
        if len(content) > _MAX_SIZE:
            return
        write_inside(file.parent.parent, file, content)
        for other in file.parent.iterdir():
            if other.stat().st_mtime < time() - _MAX_AGE:
                other.unlink(missing_ok=True)


Layouts = Mapping[tuple[str, str], Mapping[str, Any]]
"""`storageLayout` of the compiler's output, by source and contract."""
_SLOTS: Final = ".getStorageSlots"
_DIFFS: Final = ".getStateDiff"


def uses_layouts(project: Project, sources: Sources) -> bool:
    """Return True if a source uses a cheatcode that needs layouts; as in forge, state diffs use them on request."""
    names = (_SLOTS, _DIFFS) if "storageLayout" in project.extra_output else (_SLOTS,)
    return any(name in text for text in sources.texts.values() for name in names)


def storage_layouts(project: Project, sources: Sources, solc: Solc) -> Layouts:
    """Return the layouts of all contracts. Raises CompileError with the compiler's messages."""
    compiler_input = standard_json(project, sources, solc.version)
    compiler_input["settings"]["outputSelection"] = {"*": {"*": ["storageLayout"]}}
    return {
        (file, name): found["storageLayout"]
        for file, contracts in compile_json(solc, compiler_input).get("contracts", {}).items()
        for name, found in contracts.items()
        if "storageLayout" in found
    }


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
