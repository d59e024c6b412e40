"""Source positions of a contract's instructions, from solc's source map and the compiler runs of forge.

A map has one entry per instruction: a range of bytes in a numbered source. The numbers are those of a compiler run.
Forge's cache file names the run of each artifact, and the artifacts' `build-info` folder contains the source numbers of
each run.

All files are untrusted: invalid entries have no position, an unreadable file is skipped, and no file outside the
project's folder is read. Source: the Solidity documentation on source mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.installation import read_bounded
from store.untrusted import parse_json

MAX_SOURCE_BYTES: Final = 4 << 20
"""Maximum size of a source in bytes."""

_PUSH1, _PUSH32 = 0x60, 0x7F
_CONTRACT: Final = (b"contract ", b"abstract contract ", b"library ", b"interface ")
"""Start of the source of a whole contract, to which solc maps code without a statement (dispatch, checks)."""


_FUNCTION: Final = (b"function ", b"function(", b"constructor", b"receive()", b"fallback(", b"modifier ")


class CodePlace(NamedTuple):
    """The line of an instruction, 0 for none, and what a jump there does: `i` into a function, `o` out, `-` neither."""

    path: str
    line: int
    jump: str


class CodeMap(NamedTuple):
    """A contract's code with its source map; `paths` are the sources by their numbers, `read` gives their text."""

    code: bytes
    text: str
    paths: Mapping[int, str]
    read: Callable[[str], bytes | None]

    def line(self, counters: Iterable[int]) -> str | None:
        """Return `path:line` of the first program counter with a statement in a known source."""
        try:
            places = spans(self.text)
        except ValueError:
            return None
        numbers = instruction_numbers(self.code)
        for counter in counters:
            number = numbers.get(counter)
            if number is not None and number < len(places):
                start, _, source, _ = places[number]
                found = self._line(start, source)
                if found is not None:
                    return found
        return None

    def places(self) -> dict[int, CodePlace]:
        """Return the source position of each program counter in a known statement, and of function jumps.

        A whole function is not a statement, so code that receives parameters or returns has no line.
        """
        try:
            found = spans(self.text)
        except ValueError:
            return {}
        known: dict[tuple[int, int], tuple[str, int]] = {}
        places: dict[int, CodePlace] = {}
        for counter, number in instruction_numbers(self.code).items():
            if number >= len(found):
                break
            start, _, source, jump = found[number]
            if (start, source) not in known:
                known[start, source] = self._statement(start, source)
            path, line = known[start, source]
            if line > 0 or (jump != "-" and (line == 0 or jump == "o")):
                places[counter] = CodePlace(path, max(line, 0), jump)
        return places

    def _statement(self, start: int, source: int) -> tuple[str, int]:
        """Return path and line of a statement; line 0 without a known source, -1 if it is not a statement.

        Whole functions are not statements, nor are values of constants, which are copied to each use.
        """
        line = self._line(start, source)
        if line is None:
            return "", 0
        path, _, number = line.rpartition(":")
        text = self.read(path) or b""
        declared = text[text.rfind(b"\n", 0, start) + 1 : start]
        is_whole = text[start : start + 20].startswith(_FUNCTION) or b" constant " in declared
        return (path, -1) if is_whole else (path, int(number))

    def _line(self, start: int, source: int) -> str | None:
        path = self.paths.get(source)
        text = None if path is None else self.read(path)
        if text is None or not 0 <= start < len(text) or text[start : start + 20].startswith(_CONTRACT):
            return None
        line = text.count(b"\n", 0, start) + 1
        return f"{path}:{line}"


def folder_reader(root: Path) -> Callable[[str], bytes | None]:
    """Return a reader of sources by path below a folder; it returns None if missing, outside of it, or too long."""

    def read(path: str) -> bytes | None:
        try:
            file = (root / path).resolve()
            if not file.is_relative_to(root.resolve()) or not file.is_file() or file.stat().st_size > MAX_SOURCE_BYTES:
                return None
            return file.read_bytes()
        except (OSError, ValueError):
            return None

    return read


def spans(text: str) -> list[tuple[int, int, int, str]]:
    """Return start, length, source and jump (`i` into a function, `o` out of one, `-`) of each instruction.

    An empty field repeats that of the previous instruction. Raises ValueError for a malformed map.
    """
    found: list[tuple[int, int, int, str]] = []
    start, length, source, jump = 0, 0, -1, "-"
    for entry in text.split(";"):
        if entry:
            fields = entry.split(":")
            count = len(fields)
            if fields[0]:
                start = int(fields[0])
            if count > 1 and fields[1]:
                length = int(fields[1])
            if count > 2 and fields[2]:
                source = int(fields[2])
            if count > 3 and fields[3]:
                jump = fields[3]
        found.append((start, length, source, jump))
    return found


def instruction_numbers(code: bytes) -> dict[int, int]:
    """Return the number of the instruction at each program counter."""
    places: dict[int, int] = {}
    counter = 0
    while counter < len(code):
        places[counter] = len(places)
        opcode = code[counter]
        counter += 1 + (opcode - _PUSH1 + 1 if _PUSH1 <= opcode <= _PUSH32 else 0)
    return places


FORGE_CACHE: Final = "solidity-files-cache.json"
MAX_BUILD_INFO_BYTES: Final = 128 << 20
_MAX_BUILD_INFOS: Final = 50


class ForgeBuilds:
    """The compiler runs of the artifacts in the folder `out`; `cache` is forge's cache folder."""

    def __init__(self, out: Path, cache: Path) -> None:
        self._out, self._cache = out, cache
        self._numbers: dict[str, dict[int, str]] = {}

    def build(self, artifact: Path) -> str | None:
        """Return the build that made an artifact; None if ambiguous: several builds, and none named by the cache."""
        if self._builds:
            return self._builds.get(artifact.relative_to(self._out).as_posix())
        return next(iter(self._infos)) if len(self._infos) == 1 else None

    def artifacts(self, source: str) -> list[Path] | None:
        """Return a source's artifacts according to the cache; None without a forge cache."""
        if not self._builds:
            return None
        return [self._out / path for path in self._paths.get(source, ())]

    def numbers(self, build: str) -> dict[int, str]:
        """Return a build's source paths by number; empty if its file cannot be read."""
        known = self._numbers.get(build)
        if known is None:
            paths = _object(self._infos[build]).get("source_id_to_path") if build in self._infos else None
            try:
                known = {int(number): str(path) for number, path in dict(paths or {}).items()}
            except (TypeError, ValueError):
                known = {}
            self._numbers[build] = known
        return known

    def agreed_sources(self, number: int, source: str) -> dict[int, str]:
        """Return the numbers on which all builds that gave a source this number agree, including the source's own."""
        own = {number: source}
        if len(self._infos) > _MAX_BUILD_INFOS:
            return own
        fitting = [found for build in self._infos if (found := self.numbers(build)).get(number) == source]
        if not fitting:
            return own
        return dict(set(fitting[0].items()).intersection(*(found.items() for found in fitting)))

    @cached_property
    def _infos(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted((self._out / "build-info").glob("*.json"))}

    @property
    def _builds(self) -> dict[str, str]:
        """Compiler run of each artifact, by its path relative to the folder."""
        return self._entries[0]

    @property
    def _paths(self) -> dict[str, list[str]]:
        """Paths of the artifacts relative to the folder, by source."""
        return self._entries[1]

    @cached_property
    def _entries(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        files = _object(self._cache / FORGE_CACHE).get("files")
        builds: dict[str, str] = {}
        paths: dict[str, list[str]] = {}
        try:
            for source, entry in dict(files or {}).items():
                profiles = [found for versions in entry["artifacts"].values() for found in versions.values()]
                made = {str(one["path"]): str(one["build_id"]) for found in profiles for one in found.values()}
                builds |= made
                paths[source] = [path for path in made if _is_below(path)]
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}, {}
        return builds, paths


def _is_below(path: str) -> bool:
    """Return True if the path leads below the folder that it is relative to."""
    return not path.startswith("/") and ".." not in path.split("/")


def _object(path: Path) -> Mapping[str, Any]:
    """Read the object in a file; an empty one if there is none."""
    try:
        content = parse_json(read_bounded(path, MAX_BUILD_INFO_BYTES, "the file"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
