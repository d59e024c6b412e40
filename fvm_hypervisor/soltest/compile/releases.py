"""Version pragmas of Solidity sources and the compiler releases that they allow.

Rules: the Solidity documentation on version pragmas, which refers to npm's semantic versioning; a version without an
operator allows only that release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from hypervisor.errors import InvalidInput

Release = tuple[int, int, int]
"""Major, minor and patch number of a release."""

VERSION: Final = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}")
"""Pattern of a release number, such as 0.8.30."""

_PRAGMA: Final = re.compile(r"\bpragma\s+solidity\b([^;]*);")
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PART: Final = r"(\d{1,6}|[xX*])"
_VERSION: Final = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?"
_COMPONENT: Final = re.compile(rf"\s*(\^|~|<=|>=|<|>|=)?\s*{_VERSION}\s*")
_HYPHEN: Final = re.compile(rf"\s*{_VERSION}\s+-\s+{_VERSION}\s*")
_END: Final[Release] = (1 << 30, 0, 0)
"""A bound above every release."""
_START: Final[Release] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Releases from `low` up to, but not including, `high`."""

    low: Release
    high: Release

    def __contains__(self, release: Release) -> bool:
        return self.low <= release < self.high

    def __and__(self, other: VersionRange) -> VersionRange:
        return VersionRange(max(self.low, other.low), min(self.high, other.high))


def parse_release(version: str) -> Release:
    """Return the numbers of a version of three parts, which compare as releases do."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


class Pragmas:
    """The version pragmas of a set of sources; `expressions` maps each distinct one to its first source."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self.expressions: dict[str, str] = {}
        for name, text in texts:
            for expression in version_pragmas(text):
                self.expressions.setdefault(expression, name)

    def admit(self, version: str) -> bool:
        """Return True if every pragma allows the release. Raises InvalidInput for a malformed pragma."""
        release = parse_release(version)
        return all(any(release in one for one in self._ranges(expression)) for expression in self.expressions)

    def newest(self, versions: Iterable[str]) -> str | None:
        """Return the newest of these releases that every pragma allows, None if there is none."""
        return max((version for version in versions if self.admit(version)), key=parse_release, default=None)

    def listing(self) -> str:
        """Return a list of the pragmas, each with a source that contains it."""
        return ", ".join(f"{expression} ({name})" for expression, name in self.expressions.items())

    def _ranges(self, expression: str) -> tuple[VersionRange, ...]:
        try:
            return version_ranges(expression)
        except ValueError:
            source = self.expressions[expression]
            raise InvalidInput(f"{source}: 'pragma solidity {expression:.80}' is not a version pragma") from None


def version_pragmas(text: str) -> list[str]:
    """Return the version expressions of a source's pragmas, ignoring comments."""
    ends = [found.end() for found in _PRAGMA.finditer(text)]
    if not ends:
        return []
    return [" ".join(found.split()) for found in _PRAGMA.findall(_COMMENT.sub(" ", text[: ends[-1]]))]


@cache
def version_ranges(expression: str) -> tuple[VersionRange, ...]:
    """Return the ranges that an expression allows, one for each alternative. Raises ValueError."""
    return tuple(_alternative(part) for part in expression.replace('"', "").replace("'", "").split("||"))


def _alternative(text: str) -> VersionRange:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        parts = hyphen.groups()
        return _component(">=", parts[:3]) & _component("<=", parts[3:])
    found, index = VersionRange(_START, _END), 0
    while index < len(text) or not index:
        component = _COMPONENT.match(text, index)
        if component is None:
            raise ValueError(text)
        found &= _component(component[1] or "=", component.groups()[1:])
        index = component.end()
    return found


def _component(operator: str, parts: Iterable[str | None]) -> VersionRange:
    """Return the range of one comparison; a missing part or a wildcard matches every number."""
    numbers = []
    for part in parts:
        if part is None or not part.isdigit():
            break
        numbers.append(int(part))
    if not numbers:
        return VersionRange(_START, _START if operator in ("<", ">") else _END)
    low = _pad(numbers)
    after = _next(numbers, len(numbers) - 1)
    if operator == "^":
        return VersionRange(
            low, _next(numbers, next((at for at, part in enumerate(numbers) if part), len(numbers) - 1))
        )
    if operator == "~":
        return VersionRange(low, _next(numbers, min(1, len(numbers) - 1)))
    bounds: Mapping[str, tuple[Release, Release]] = {
        "=": (low, after), ">=": (low, _END), ">": (after, _END), "<=": (_START, after), "<": (_START, low),
    }  # fmt: skip
    return VersionRange(*bounds[operator])


def _pad(numbers: list[int]) -> Release:
    major, minor, patch = [*numbers, 0, 0][:3]
    return major, minor, patch


def _next(numbers: list[int], index: int) -> Release:
    """Return the first release after all that share these numbers up to a position."""
    return _pad([*numbers[:index], numbers[index] + 1])
