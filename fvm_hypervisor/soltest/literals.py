"""Number and string literals in Solidity sources, used as fuzz inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.dictionary import SourceLiterals
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.remappings import resolve
from fvm_hypervisor.soltest.project.solidity_text import SourceText
from fvm_hypervisor.soltest.project.sources import imports, own_sources

_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|"""
    r"""(?<![\w.$])(?:(?P<hex>0[xX][0-9a-fA-F_]+)|(?P<decimal>\d[\d_]*(?:\.\d[\d_]*)?(?:[eE]\d{1,2})?))(?![\w.])"""
    r"""(?:\s+(?P<unit>wei|gwei|ether|seconds|minutes|hours|days|weeks)\b)?""",
    re.DOTALL,
)
_UNITS: Final = {
    "gwei": 10**9, "ether": 10**18, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800,
}  # fmt: skip
_TOP: Final = 1 << 256


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
