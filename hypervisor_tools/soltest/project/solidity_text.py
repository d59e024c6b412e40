"""Source texts of a project, with the line, contract and function at a position.

Positions are resolved without a compiler: comments and strings are skipped, braces counted. Names are empty where the
text is ambiguous.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from hypervisor.installation import read_bounded
from localnet.contracts.source_maps import MAX_SOURCE_BYTES

_TOKEN: Final = re.compile(
    rb"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|"""
    rb"""\b(?P<kind>contract|library|interface|function|modifier|constructor|receive|fallback)\b\s*(?P<name>[A-Za-z_$][\w$]*)?|"""
    rb"""[{};]""",
    re.DOTALL,
)
_TYPE: Final = re.compile(
    rb"""(?P<skipped>//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|"""
    rb"""\b(?P<kind>enum|struct)\s+(?P<name>[A-Za-z_$][\w$]*)\s*\{"""
    rb"""(?P<members>(?:[^}/]|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*)\}""",
    re.DOTALL,
)
_UNENCODED: Final = re.compile(rb"\s*(?:mapping|function)\s*\(")
_COMMENT: Final = re.compile(rb"//[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD: Final = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]*")
_CONTRACTS: Final = (b"contract", b"library", b"interface")


class Definition(NamedTuple):
    """A contract or function: from its first word to the end of its body, in bytes."""

    name: str
    is_contract: bool
    start: int
    end: int


class SourceText:
    """A source text."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(rb"\n", self.text))]

    def line(self, offset: int) -> int:
        """Return the line number of a byte, from 1."""
        return bisect_right(self._lines, offset)

    def names(self, offset: int) -> tuple[str, str]:
        """Return the contract and the function around a byte; empty if there is none."""
        around = [found for found in self._definitions if found.start <= offset < found.end]
        contracts = [found.name for found in around if found.is_contract]
        functions = [found.name for found in around if not found.is_contract]
        return (contracts[-1] if contracts else ""), (functions[-1] if functions else "")

    def is_definition(self, start: int, length: int) -> bool:
        """Return True if a span covers a whole contract, as for code that belongs to no statement."""
        return any(found.is_contract and found.start == start and length > 1 for found in self._definitions) or (
            self.text[start : start + 9] == b"abstract "
        )

    @cached_property
    def enums(self) -> dict[str, int]:
        """Number of members of each enum by its name in ABIs: `Contract.Name`, or `Name` outside of contracts."""
        return {name: len(_WORD.findall(members)) for name, members in self._types(b"enum")}

    @cached_property
    def structs(self) -> dict[str, tuple[str, ...]]:
        """Names of each struct's fields, without mappings and functions, by its name as in `enums`."""
        found = {}
        for name, members in self._types(b"struct"):
            fields = (field for field in members.split(b";") if field.strip() and not _UNENCODED.match(field))
            found[name] = tuple(_WORD.findall(field)[-1].decode() for field in fields)
        return found

    def _types(self, kind: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield name and members of each enum or struct, without comments."""
        for found in _TYPE.finditer(self.text) if kind in self.text else ():
            if found["kind"] == kind:
                contract, name = self.names(found.start())[0], found["name"].decode()
                yield f"{contract}.{name}" if contract else name, _COMMENT.sub(b"", found["members"])

    @cached_property
    def mentions(self) -> dict[str, set[str]]:
        """Words in the head and body of each function or modifier, by its name: a superset of what it may call."""
        found: dict[str, set[str]] = {}
        for one in self._definitions:
            if not one.is_contract:
                words = _WORD.findall(self.text[one.start : one.end])
                found.setdefault(one.name, set()).update(word.decode() for word in words)
        return found

    @cached_property
    def _definitions(self) -> list[Definition]:
        return sorted(self._find_definitions(), key=lambda found: found.start)

    def _find_definitions(self) -> Iterator[Definition]:
        waiting: tuple[str, bool, int] | None = None
        open_: list[tuple[str, bool, int] | None] = []
        for token in _TOKEN.finditer(self.text):
            kind, word = token["kind"], token[0]
            if kind is not None:
                if waiting is None:
                    name = (token["name"] or b"").decode("utf-8", "replace")
                    plain = kind in (b"constructor", b"receive", b"fallback")
                    waiting = (kind.decode() if plain else name), kind in _CONTRACTS, token.start()
            elif word == b"{":
                open_.append(waiting)
                waiting = None
            elif word == b"}" and open_:
                begun = open_.pop()
                if begun is not None:
                    yield Definition(*begun, token.end())
            elif word == b";":
                waiting = None


class SourceTexts:
    """Sources of a project by path relative to its root, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[str, SourceText | None] = {}

    def get(self, path: str) -> SourceText | None:
        """Return a source; None if it is missing or too long."""
        if path not in self._read:
            file = self._root / path
            try:
                self._read[path] = SourceText(read_bounded(file, MAX_SOURCE_BYTES, "the source"))
            except ValueError:
                self._read[path] = None
        return self._read[path]
