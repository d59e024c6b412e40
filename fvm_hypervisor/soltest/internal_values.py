"""Decoding of internal calls' arguments and results: types from the source text, values from stack and memory.

A value type is a word on the stack; a reference is a word that points into memory or to a slot; dynamic arrays, bytes
and strings in calldata are two words, offset and length. Layout: the Solidity documentation on layout in memory and on
function calls. Types that the project defines (structs, mappings) are not decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.soltest.trace.frames import TypedValue

UNKNOWN: Final = TypedValue(None, "<unknown>")
_WORD: Final = 32
_MAX_ELEMENTS: Final = 256
_MAX_BYTES: Final = 4096
_MAX_WORDS: Final = 1024
"""Maximum number of memory words read per value: pointers may be cyclic or share a target."""
_ELEMENTARY: Final = re.compile(
    r"(?P<kind>(?:u?int)(?:\d{1,3})?|bytes(?:[1-9]|[12]\d|3[0-2])?|string|bool|address)(?P<arrays>(?:\[\d{0,6}\]){0,16})"
)
_PASSED_OVER: Final = re.compile(
    rb"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)  # fmt: skip
"""Comments and string literals, which may occur as arguments of modifiers."""
_NAME: Final = re.compile(r"\s*function\s+([A-Za-z_$][\w$]*)\s*")
_RETURNS: Final = re.compile(r"(?<![\w$])returns\s*(?=\()")
_LOCATIONS: Final = ("memory", "calldata", "storage")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or result. `kind` is an ABI type, empty for user-defined types; `location` may be empty."""

    kind: str
    location: str = ""
    words: int = 1
    """Number of stack words."""


@dataclass(frozen=True, slots=True)
class ValuePlace:
    """Location of values; the last item is the top of the stack. With `reverses` the first value is on top."""

    stack: Sequence[int]
    memory: bytes
    calldata: bytes
    reverses: bool = False


def split_header(text: bytes) -> tuple[str, tuple[Parameter, ...], tuple[Parameter, ...]] | None:
    """Return the name, parameters and results of a function's text; None if it is not a named function."""
    if not text.startswith(b"function"):
        return None
    head = re.split("[{;]", _PASSED_OVER.sub(b" ", text).decode("utf-8", "replace"), maxsplit=1)[0]
    found = _NAME.match(head)
    if found is None:
        return None
    inputs, rest = _split_brackets(head[found.end() :])
    returns = _RETURNS.search(rest)
    outputs = "" if returns is None else _split_brackets(rest[returns.end() :])[0]
    return found[1], tuple(map(_parameter, _split(inputs))), tuple(map(_parameter, _split(outputs)))


def read_values(parameters: Sequence[Parameter], place: ValuePlace) -> tuple[TypedValue, ...]:
    """Return the values on top of the stack."""
    size = sum(parameter.words for parameter in parameters)
    if len(place.stack) < size:
        return tuple(UNKNOWN for _ in parameters)
    words = list(place.stack[len(place.stack) - size :])
    if place.reverses:
        words.reverse()
    found, at = [], 0
    for parameter in parameters:
        found.append(_value(parameter, words[at : at + parameter.words], place))
        at += parameter.words
    return tuple(found)


def _value(parameter: Parameter, words: Sequence[int], place: ValuePlace) -> TypedValue:
    kind = parameter.kind
    try:
        if not kind:
            return UNKNOWN
        if parameter.location == "memory":
            return TypedValue({"name": "", "type": kind}, _Reader(place.memory).value(kind, words[0]))
        if parameter.location == "calldata":
            return TypedValue({"name": "", "type": kind}, _in_calldata(kind, place.calldata, words))
        if parameter.location:
            return UNKNOWN
        return TypedValue({"name": "", "type": kind}, _of_word(kind, words[0]))
    except (IndexError, ValueError):
        return UNKNOWN


def _of_word(kind: str, word: int) -> Any:
    """Return a value type's word as a value; solc left-aligns bytes."""
    if kind.startswith("uint"):
        return word % (1 << int(kind[4:]))
    if kind.startswith("int"):
        bits = int(kind[3:])
        low = word % (1 << bits)
        return low - (1 << bits) if low >> (bits - 1) else low
    if kind == "bool":
        return bool(word)
    if kind == "address":
        return word.to_bytes(_WORD, "big")[12:]
    return word.to_bytes(_WORD, "big")[: int(kind.removeprefix("bytes"))]


class _Reader:
    """Reads one value from memory, with a limit of _MAX_WORDS words."""

    def __init__(self, memory: bytes) -> None:
        self._memory = memory
        self._left = _MAX_WORDS

    def value(self, kind: str, at: int) -> Any:
        """Return the value at an offset. Raises IndexError, ValueError."""
        if kind in ("string", "bytes"):
            size = self._word(at)
            self._spend(-(-size // _WORD))
            return _text(kind, _shorten(self._memory, at + _WORD, size))
        if not kind.endswith("]"):
            return _of_word(kind, self._word(at))
        inner, _, size_text = kind[:-1].rpartition("[")
        count = int(size_text) if size_text else self._word(at)
        if count > _MAX_ELEMENTS:
            raise ValueError(f"{count} elements")
        begin = at if size_text else at + _WORD
        places = range(begin, begin + count * _WORD, _WORD)
        if inner.endswith("]") or inner in ("string", "bytes"):
            return [self.value(inner, self._word(place)) for place in places]
        return [_of_word(inner, self._word(place)) for place in places]

    def _word(self, at: int) -> int:
        self._spend(1)
        return _word(self._memory, at)

    def _spend(self, words: int) -> None:
        self._left -= words
        if self._left < 0:
            raise ValueError(f"more than {_MAX_WORDS} words")


def _in_calldata(kind: str, data: bytes, words: Sequence[int]) -> Any:
    """Return a value in calldata: bytes, strings, and arrays of words. Raises IndexError, ValueError."""
    if kind in ("string", "bytes"):
        return _text(kind, _shorten(data, *words))
    inner, _, size = kind[:-1].rpartition("[")
    count = int(size) if size else words[1]
    if inner.endswith("]") or inner in ("string", "bytes") or count > _MAX_ELEMENTS:
        raise ValueError(kind)
    return [_of_word(inner, _word(data, index)) for index in range(words[0], words[0] + count * _WORD, _WORD)]


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(_shorten(data, at, _WORD), "big")


def _shorten(data: bytes, at: int, size: int) -> bytes:
    if size > _MAX_BYTES or at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


def _text(kind: str, data: bytes) -> Any:
    return data if kind == "bytes" else data.decode("utf-8", "replace")


# --- text ------------------------------------------------------------------------------------------------------------


def _split_brackets(text: str) -> tuple[str, str]:
    """Return the text within the first pair of brackets, and the text after it."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[1:at], text[at + 1 :]
    return "", ""


def _split(text: str) -> Iterator[str]:
    """Split at commas outside brackets."""
    depth, begin = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            yield text[begin:at].strip()
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:].strip()


def _parameter(text: str) -> Parameter:
    """Return the parameter for a declaration: a type, a data location, a name."""
    head = text.split("(", 1)[0].split()
    words = text.split()
    location = next((word for word in words[1:] if word in _LOCATIONS), "")
    if not words or head[0] in ("function", "mapping"):
        return Parameter("", location, 2 if "external" in words else 1)
    found = _ELEMENTARY.fullmatch(words[0])
    is_row = words[0].endswith("[]") or words[0] in ("string", "bytes")
    kind = ""
    if found is not None:
        name = found["kind"]
        kind = f"{name}256" if name in ("uint", "int") else name
        kind += found["arrays"]
    return Parameter(kind, location, 2 if location == "calldata" and is_row else 1)
