"""Function names from the custom section `name`, which compilers write unless it is stripped.

Names do not affect execution, so a malformed section is not an error: such a module has no names. Rules: WebAssembly
core specification 2.0, appendix on custom sections.
"""

import re
from functools import lru_cache

from hypervisor.errors import InvalidModule
from runtimes.wasm.binary import BinaryReader
from runtimes.wasm.module.parser import MAGIC, ExternKind, Section, parse_module

MAX_NAME_LENGTH = 120
"""Maximum length of a name in characters; longer names are cut in the middle."""

_FUNCTIONS = 1
_DIGITS, _MAX_DIGITS = re.compile(r"[0-9]+"), 4
_ESCAPE = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,4})\$")
_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


@lru_cache(16)
def function_names(wasm: bytes) -> dict[int, str]:
    """Return the function names by index, without Rust's hashes. An unnamed function gets the name of its export."""
    try:
        exported = {
            item.index: _printable(item.name) for item in parse_module(wasm).exports if item.kind == ExternKind.FUNCTION
        }
    except InvalidModule:
        return {}
    try:
        return exported | _names(wasm)
    except InvalidModule:
        return exported


@lru_cache(16)
def function_count(wasm: bytes) -> int:
    """Return the number of functions of a valid module, including imported ones."""
    return len(parse_module(wasm).function_type_indices())


def function_label(names: dict[int, str], index: int) -> str:
    """Return a function's name, or `function N`."""
    return names.get(index) or f"function {index}"


def _names(wasm: bytes) -> dict[int, str]:
    reader = BinaryReader(wasm, len(MAGIC))
    while not reader.done:
        number, size = reader.byte(), reader.u32()
        end = reader.position + size
        if number == Section.CUSTOM and end <= reader.end:
            section = BinaryReader(wasm, reader.position, end)
            if section.name() == "name":
                return _function_names(section)
        reader.take(size)
    return {}


def _function_names(section: BinaryReader) -> dict[int, str]:
    while not section.done:
        kind, size = section.byte(), section.u32()
        if kind == _FUNCTIONS:
            return {section.u32(): _printable(section.name()) for _ in range(section.count())}
        section.take(size)
    return {}


def _demangle(name: str) -> str:
    """Return a name in Rust's legacy mangling (`_ZN3cid4read17h...E`) as a path; other names unchanged."""
    if not (name.startswith("_ZN") and name.endswith("E")):
        return name
    parts, rest = [], name[3:-1]
    while rest:
        digits = _DIGITS.match(rest)
        if digits is None or len(digits[0]) > _MAX_DIGITS:
            return name
        start = digits.end()
        end = start + int(digits[0])
        if end > len(rest):
            return name
        parts.append(rest[start:end])
        rest = rest[end:]
    path = "::".join(part.removeprefix("_") if part.startswith("_$") else part for part in parts)
    return _ESCAPE.sub(_unescape, path.replace("..", "::"))


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    return chr(int(code[1:], 16)) if code[1:] else found[0]


def _printable(name: str) -> str:
    plain = _RUST_HASH.sub("", _demangle(name))
    text = "".join(char if char.isprintable() else "?" for char in plain)
    half = MAX_NAME_LENGTH // 2
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[:half]}...{text[-half:]}"
