"""Releases of solc: those that version pragmas allow, and npm's in the user's cache.

Rules of pragmas: the Solidity documentation on version pragmas, which refers to npm's semantic versioning; a version
without an operator allows only that release.

The cache has one JavaScript file per release, pinned by its hash. `solc_sha256.json` has the SHA-256 of `soljson.js` in
npm's package for each release from 0.5.0 to 0.8.37; from 0.7.1 to 0.8.11 it is the figure in solc-bin's list of
emscripten-wasm32. A later release is pinned at its first installation. The file is hashed again each time before
Node.js runs it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded, user_folder

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


_PACKAGE: Final = {"0.8.7": "0.8.7-fixed"}
"""Mapping from release to npm package version where they differ: package 0.8.7 contains compiler 0.7.5."""
ABSENT: Final = {"0.8.1": "0.8.0"}
"""Releases missing from npm, with the release that the package contains instead."""
_FILE: Final = "soljson.js"
_PIN: Final = "sha256"
_MAX_SIZE: Final = 64 << 20
"""Maximum size of a compiler in bytes; the largest release so far, 0.8.11, has 27 million."""


def find_program(name: str, remedy: str) -> str:
    """Return the path of a program on PATH. Raises InvalidInput with the remedy."""
    found = shutil.which(name)
    if found is None:
        raise InvalidInput(f"{name} is missing: {remedy}")
    return found


def cached_versions() -> list[str]:
    """Return the releases in the cache, newest first."""
    found = (path.parent.name for path in _folder().glob(f"*/{_FILE}"))
    return sorted((name for name in found if VERSION.fullmatch(name)), key=parse_release, reverse=True)


def cached_file(version: str) -> Path:
    """Return the path of a release in the cache. Raises InvalidInput if the file was changed."""
    path = _folder() / version / _FILE
    digest = sha256(read_bounded(path, _MAX_SIZE, "the compiler")).hexdigest()
    if digest != _recorded_hash(version):
        raise InvalidInput(
            f"{path} is not solc {version}: its SHA-256 is {digest}, expected {_recorded_hash(version)}."
            f" Delete {path.parent} to download the compiler again"
        )
    return path


def install(version: str) -> Path:
    """Install the compiler of npm's package in the cache. Raises InvalidInput with npm's message."""
    if version in ABSENT:
        raise InvalidInput(
            f"npm's package of solc {version} contains {ABSENT[version]}: choose another release with --use"
        )
    folder = _folder() / version
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source = _download(version, Path(scratch))
        digest = sha256(source).hexdigest()
        known = known_releases().get(version)
        if known is not None and digest != known:
            raise InvalidInput(f"npm's solc {version} is not the released one: SHA-256 {digest}, expected {known}")
        for name, content in (
            (_PIN, digest.encode()),
            (_FILE, source),
        ):  # the compiler last: its presence marks the release as installed
            new = Path(scratch) / name
            new.write_bytes(content)
            new.replace(folder / name)
    return folder / _FILE


def _folder() -> Path:
    return user_folder("cache") / "solc"


def _recorded_hash(version: str) -> str:
    known = known_releases().get(version)
    if known is not None:
        return known
    try:
        return (_folder() / version / _PIN).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "a recorded hash, which is missing"


@cache
def known_releases() -> dict[str, str]:
    """Return the SHA-256 of npm's `soljson.js` by release."""
    pins: dict[str, str] = json.loads(Path(__file__).with_name("solc_sha256.json").read_text(encoding="ascii"))
    return pins


def _download(version: str, scratch: Path) -> bytes:
    """Return `soljson.js` of npm's package. npm runs in the empty folder `scratch`, since it reads a local `.npmrc`."""
    npm, name = find_program("npm", "install Node.js with npm"), _PACKAGE.get(version, version)
    command = [npm, "pack", f"solc@{name}", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode:
        output = " ".join(done.stderr.split())[-400:]
        unknown = f"npm has no solc {version}: see `npm view solc versions`"
        raise InvalidInput(unknown if "ETARGET" in output else f"npm could not get solc {version}: {output}")
    try:
        with tarfile.open(scratch / f"solc-{name}.tgz") as package:
            member = package.getmember(f"package/{_FILE}")
            file = package.extractfile(member)
            if file is None or member.size > _MAX_SIZE:
                raise KeyError
            return file.read(_MAX_SIZE)
    except (OSError, KeyError, tarfile.TarError, EOFError):
        raise InvalidInput(f"npm's solc {version} has no {_FILE} of at most {_MAX_SIZE >> 20} MiB") from None
