"""Sources of the random inputs of fuzz and invariant tests: types of parameters, and a dictionary.

The dictionary of a test has values that conditions are likely to compare its inputs with: number and string literals of
the sources, the state after `setUp` (addresses, slots, pushed words), and the runs (return data, events and storage
writes). Which of these are used, and how many, are forge's settings. The guest draws (`runtimes.evm.revm.campaign`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.execution.discovery import type_of
from hypervisor_tools.soltest.project.project import DictionarySettings, Project
from hypervisor_tools.soltest.project.remappings import resolve
from hypervisor_tools.soltest.project.solidity_text import SourceText
from hypervisor_tools.soltest.project.sources import imports, own_sources
from runtimes.evm.revm import COUNT, ValueType, data_message, list_message

MAX_WORDS: Final = 1 << 17
"""Maximum number of words in a dictionary, whatever the settings request (about 20 MB)."""
_PUSH1, _PUSH32 = 0x60, 0x7F
_PLACE, _JUMPDEST = 2, b"\x5b"
_WORD: Final = 32
_TOP: Final = 1 << 256


class StateWords(NamedTuple):
    """Words of the state after `setUp`: addresses, what each contract's code pushes, storage slots and their values."""

    addresses: bytes = b""
    pushed_words: tuple[bytes, ...] = ()
    storage: bytes = b""
    libraries: frozenset[bytes] = frozenset()
    """Addresses of linked libraries, which are no inputs."""


def packed_words(numbers: Iterable[int]) -> bytes:
    """Return numbers as words of 32 bytes, each once."""
    return b"".join([number.to_bytes(_WORD, "big") for number in dict.fromkeys(numbers)])


def no_enums(_name: str) -> int | None:
    """Return None, as for an enum that no source defines."""
    return None


@dataclass(frozen=True, slots=True)
class SourceLiterals:
    """Number and string literals of the sources, and their enums."""

    numbers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    enum_size: Callable[[str], int | None] = field(default=no_enums, compare=False)
    """Returns the number of members of an enum by its name in ABIs, or None."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Words and texts that the inputs of a test are drawn from, besides those of its runs."""

    pushed: bytes = b""
    literals: bytes = b""
    texts: tuple[str, ...] = ()
    limit: int = MAX_WORDS
    """Maximum number of words, except literals."""
    takes_storage: bool = True
    """True if storage slots that calls write are remembered."""
    state: bytes = b""
    enum_size: Callable[[str], int | None] = no_enums
    libraries: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, settings: DictionarySettings, state: StateWords, sources: SourceLiterals) -> Dictionary:
        """Return the dictionary of a test with these settings."""
        pushed = state.pushed_words[: settings.max_fuzz_dictionary_addresses] if settings.include_push_bytes else ()
        limit = min(settings.max_fuzz_dictionary_literals, MAX_WORDS)
        return cls(
            b"".join(pushed)[: _WORD * MAX_WORDS],
            packed_words(sources.numbers[:limit]),
            sources.texts[:limit],
            min(settings.max_fuzz_dictionary_values, MAX_WORDS),
            settings.include_storage,
            state.addresses + (state.storage if settings.include_storage else b""),
            sources.enum_size,
            state.libraries,
        )

    def message(self) -> bytes:
        """Return the message for a campaign."""
        words = (COUNT.pack_values(len(part) // _WORD) + part for part in (self.literals, self.state, self.pushed))
        texts = list_message(data_message(text.encode()) for text in self.texts)
        return b"".join((COUNT.pack_values(self.limit), *words, texts, list_message(sorted(self.libraries))))


def pushed_words(code: bytes) -> Iterator[int]:
    """Yield the words that code pushes, except jump targets: two bytes that point to a JUMPDEST."""
    at = 0
    while at < len(code):
        size = code[at] - _PUSH1 + 1 if _PUSH1 <= code[at] <= _PUSH32 else 0
        if size:
            word = int.from_bytes(code[at + 1 : at + 1 + size], "big")
            if size != _PLACE or code[word : word + 1] != _JUMPDEST:
                yield word
        at += 1 + size


_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|"""
    r"""(?<![\w.$])(?:(?P<hex>0[xX][0-9a-fA-F_]+)|(?P<decimal>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE]\d{1,2})?))(?![\w.])"""
    r"""(?:\s+(?P<unit>wei|gwei|ether|seconds|minutes|hours|days|weeks)\b)?""",
    re.DOTALL,
)
_UNITS: Final = {
    "gwei": 10**9, "ether": 10**18, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800,
}  # fmt: skip


def literals(text: str) -> Iterator[int]:
    """Yield the integer literals below 2^256 in source order, skipping comments and strings."""
    for found in _TOKEN.finditer(text):
        if found["hex"]:
            value = Fraction(int(found["hex"].replace("_", ""), 16))
        elif found["decimal"]:
            value = Fraction(found["decimal"].replace("_", "")) * _UNITS.get(found["unit"] or "", 1)
        else:
            continue
        if value.denominator == 1 and value < _TOP:
            yield int(value)


def texts(text: str) -> Iterator[str]:
    """Yield the string literals in source order, with escapes decoded, skipping comments."""
    for found in _TOKEN.finditer(text):
        quoted = found["text"]
        if quoted is None:
            continue
        content = quoted[1:-1]
        if "\\" in content:
            try:
                content = content.encode("ascii").decode("unicode_escape")
                content.encode()
            except UnicodeError:
                continue
        yield content


def own_literals(project: Project, file: str) -> SourceLiterals:
    """Return the literals of a source and of its direct and indirect imports, except libraries."""
    found: dict[int, None] = {}
    words: dict[str, None] = {}
    for name in _with_imports(project, [file], libraries=False):
        numbers, quoted, _ = _read(project.root / name)
        found |= dict.fromkeys(numbers)
        words |= dict.fromkeys(quoted)

    @cache
    def enums() -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name in _with_imports(project, [file], libraries=True):
            for enum, size in _read_types(project.root / name).enums.items():
                sizes[enum] = min(size, sizes.get(enum, size))
        return sizes

    return SourceLiterals(tuple(found), tuple(words), lambda name: enums().get(name))


def struct_fields(project: Project) -> dict[frozenset[str], tuple[str, ...]]:
    """Return the names of fields by set, in the order of the struct that has them: of several, the first by name."""
    structs: dict[str, tuple[str, ...]] = {}
    for name in _with_imports(project, own_sources(project), libraries=True):
        structs |= _read_types(project.root / name).structs
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for _, fields in sorted(structs.items()):
        found.setdefault(frozenset(fields), fields)
    return found


def _with_imports(project: Project, files: Sequence[str], libraries: bool) -> Iterator[str]:
    """Yield sources and their direct and indirect imports, with those of libraries or without."""
    names, seen = list(files), set(files)
    while names:
        yield (name := names.pop())
        for other in (resolve(text, name, project.remappings) for text in _read(project.root / name)[2]):
            if other not in seen and (libraries or not _is_librarys(project, other)):
                seen.add(other)
                names.append(other)


def _is_librarys(project: Project, name: str) -> bool:
    return "node_modules" in name.split("/") or any(name.startswith(f"{lib}/") for lib in project.libs)


@lru_cache(maxsize=4096)
def _read_types(path: Path) -> SourceText:
    try:
        return SourceText(path.read_bytes())
    except OSError:
        return SourceText(b"")


@lru_cache(maxsize=4096)
def _read(path: Path) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Return numbers, strings and imports of a source; empty if it is missing, since artifacts may lack sources."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return (), (), ()
    imported = tuple(imports(text))
    quoted = tuple(one for one in dict.fromkeys(texts(text)) if one not in imported)
    return tuple(dict.fromkeys(literals(text))), quoted, imported


Inputs = Sequence[Mapping[str, Any]]


_MAX_ELEMENTS: Final = 1 << 20
"""Maximum number of elements of a parameter's arrays of fixed length."""
_MAX_DEPTH: Final = 64
"""Maximum depth of a parameter's arrays and structs."""


def parameter_messages(
    function: Mapping[str, Any], enum_size: Callable[[str], int | None], fixtures: Mapping[str, Sequence[bytes]]
) -> list[bytes]:
    """Return the messages of a function's parameters for a campaign. Raises InvalidInput for those it cannot draw.

    `fixtures` are encoded values by `parameter_key` (fixtures.py).
    """
    inputs = function["inputs"]
    groups = {kind: number for number, kind in enumerate(dict.fromkeys(map(_kind_of, inputs)))}
    found, elements = [], 0
    for entry in inputs:
        own = fixtures.get(parameter_key(str(entry.get("name", "")), type_of(entry)), ())
        try:
            kind, count = _type_message(entry, enum_size, _MAX_DEPTH)
        except InvalidInput as error:
            raise InvalidInput(f"{function['name']} has no random inputs: {error}") from None
        elements += count
        found.append(COUNT.pack_values(groups[_kind_of(entry)]) + kind + list_message(map(data_message, own)))
    if elements > _MAX_ELEMENTS:
        raise InvalidInput(
            f"{function['name']} has no random inputs: its parameters have {elements:,} elements in arrays of fixed "
            f"length, more than {_MAX_ELEMENTS:,}"
        )
    return found


def _type_message(entry: Mapping[str, Any], enum_size: Callable[[str], int | None], depth: int) -> tuple[bytes, int]:
    """Return the message of a type, and the number of elements of its arrays of fixed length. Raises InvalidInput."""
    kind = str(entry["type"])
    if not depth:
        raise InvalidInput(f"arrays and structs of its parameters are nested deeper than {_MAX_DEPTH} times")
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        item, elements = _type_message({**entry, "type": inner}, enum_size, depth - 1)
        if not size:
            return _numbers(ValueType.ARRAY) + item, elements
        return _numbers(ValueType.FIXED_ARRAY, min(int(size), _MAX_ELEMENTS + 1)) + item, elements * int(size)
    if kind == "tuple":
        parts = [_type_message(part, enum_size, depth - 1) for part in entry["components"]]
        elements = sum(count for _, count in parts)
        return _numbers(ValueType.TUPLE) + list_message(message for message, _ in parts), max(1, elements)
    name = str(entry.get("internalType", ""))
    members = enum_size(name[5:].partition("[")[0]) if name.startswith("enum ") else None
    if members is not None:
        return _numbers(ValueType.ENUM, members), 1
    if kind in _SIMPLE:
        return _numbers(_SIMPLE[kind]), 1
    base = kind.rstrip("0123456789")
    size_of = _SIZED.get(base, {}).get(kind.removeprefix(base) or "256")
    if size_of is None:
        raise InvalidInput(f"{kind} is not a type of the ABI that can be drawn")
    return _numbers(*size_of), 1


_SIMPLE: Final = {
    "bool": ValueType.BOOL, "address": ValueType.ADDRESS, "function": ValueType.FUNCTION, "bytes": ValueType.BYTES,
    "string": ValueType.STRING,
}  # fmt: skip
_BITS: Final = range(8, 257, 8)
_SIZED: Final = {
    "uint": {str(bits): (ValueType.UINT, bits) for bits in _BITS},
    "int": {str(bits): (ValueType.INT, bits) for bits in _BITS},
    "bytes": {str(size): (ValueType.FIXED_BYTES, size) for size in range(1, 33)},
}


def _numbers(*numbers: int) -> bytes:
    return b"".join(map(COUNT.pack_values, numbers))


def _kind_of(entry: Mapping[str, Any]) -> str:
    """Return the type of a parameter, which tells enums and structs apart."""
    kind = str(entry.get("internalType", ""))
    return kind if kind.startswith(("enum ", "struct ")) else str(entry["type"])


def fixture_name(name: str) -> str:
    """Return the name of a parameter or fixture in the form that forge compares."""
    return name.strip("_").lower()


def parameter_key(name: str, kind: str) -> str:
    """Return the key of a parameter's fixtures: its normalized name and its type."""
    return f"{fixture_name(name)}:{kind}"


def types(inputs: Inputs) -> list[str]:
    """Return the parameters' types, in the form that `eth_abi` accepts."""
    return [type_of(entry) for entry in inputs]
