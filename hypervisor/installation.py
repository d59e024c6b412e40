"""This installation: entry points of packages, names of rules and engines, user folders, and bounded reading of files.

Entry points are read once per process, since reading them opens a file per package. Commands check their options by the
names of rules, EVM engines and network versions without a machine. User folders follow each system's conventions.

TOML may be hostile: Python's parser stores every prefix of a dotted key and several objects per table, so its memory
and time grow with the square of a key's length. Size and nesting are limited before it runs.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.threads import once

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

INSTALL_AGAIN: Final = "the installation is from another release; reinstall it (in a checkout: make environment)"
"""Remedy if an entry point of this release is not registered."""
INSTALL_LABS: Final = "install the labs, a distribution of their own: pip install ./integrations/labs in a checkout"
"""Remedy if a lab is not registered."""


def entry_points_of(*, group: str) -> EntryPoints:
    """Return the entry points of a group."""
    found: EntryPoints = _all().select(group=group)
    return found


@once
def _all() -> Any:
    """Return all entry points; their type differs between Python 3.11 and later versions."""
    from importlib.metadata import entry_points  # imported on use, with the parser of emails

    return entry_points()


RULES_GROUP: Final = "hypervisor.rules"
FILECOIN: Final = "filecoin"
"""Name of the machine's default set of rules."""
ETHEREUM: Final = "ethereum"
BUILT_IN_RULES: Final = (FILECOIN, ETHEREUM)
"""Names of the built-in sets of rules, which are found without reading entry points."""
AUTO: Final = "auto"
"""Engine name for the default: the official EVM on its bundles, otherwise `OWN_EVM`."""
OWN_EVM: Final = "fast"
"""Default engine among this project's own."""
OFFICIAL_EVM: Final = "official"
"""Engine name for the EVM actor of an official bundle, which runs as a native actor."""

_MAX_DIGITS: Final = 6
"""Maximum number of digits of a network version."""


def parse_version(text: str) -> int | None:
    """Return the number of a network version, `nv29` or `29`; None for another text. The version may not exist."""
    digits = text.removeprefix("nv")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def rule_names() -> tuple[str, ...]:
    """Return the names of the installed sets of rules, the built-in ones first."""
    return (*BUILT_IN_RULES, *sorted({*entry_points_of(group=RULES_GROUP).names}.difference(BUILT_IN_RULES)))


MAX_ARTIFACT_BYTES: Final = 16 << 20
"""Maximum size of a compiled contract's JSON file."""
_UNSUITABLE: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Errors of a path that cannot name an output file."""
_FOLDER: Final = "fvm-hypervisor"
_LIBRARY: Final = {"data": "Application Support", "cache": "Caches"}
_XDG: Final = {"data": ("XDG_DATA_HOME", ".local/share"), "cache": ("XDG_CACHE_HOME", ".cache")}
"""Environment variable, and default folder below the home folder. Source: XDG Base Directory Specification."""


def user_folder(kind: Literal["data", "cache"]) -> Path:
    """Return the folder of this program for user data or caches. Raises RuntimeError without a home folder."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / _LIBRARY[kind]
    else:
        variable, below = _XDG[kind]
        base = Path(os.environ.get(variable) or Path.home() / below)
    return base / _FOLDER


def exists(path: Path) -> bool:
    """Return True if the path exists. Raises PermissionError, which `Path.exists` hides since Python 3.14."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_bounded(path: Path, limit: int, what: str, kind: type[InvalidInput] = InvalidInput) -> bytes:
    """Read a file of at most `limit` bytes. Raises `kind`, naming the file as `what`, if it is longer or unreadable."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a device or a pipe may be endless
            raise kind(f"{what} {path} is not a file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise kind(f"{what} {path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise kind(f"{what} {path} is longer than {limit:,} bytes")
    return data


def path_inside(folder: Path, file: str, where: str) -> Path:
    """Return the resolved path of `file`, a name in a user's file. `where` is the name of the field in error texts.

    Raises InvalidInput if the path is outside of `folder`.
    """
    try:
        path = (folder / file).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{where} {file!r:.60} cannot be resolved: {error}") from None
    if not is_inside:
        raise InvalidInput(f"{where} {file!r:.200} is {path}, outside of {folder}: move the file into that folder")
    return path


@contextmanager
def writing(path: Path, what: str) -> Iterator[None]:
    """Name the output file `path` in the system's errors of writing it, or a partial file beside it.

    Raises InvalidInput if the path is unsuitable, HypervisorError for other errors, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(path), f"{path}.part"):
            raise
        kind = InvalidInput if isinstance(error, _UNSUITABLE) else HypervisorError
        remedy = "free space, or pass another path" if error.errno == errno.ENOSPC else "pass another path"
        raise kind(f"{what} {path} cannot be written: {error.strerror}; {remedy}") from None


def check_output(path: Path | None, what: str) -> None:
    """Raise InvalidInput unless a file can be written at `path`. None is an output that was not requested.

    Call this before long work, so that the error comes early.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InvalidInput(
            f"the folder {path.parent} for {what} {path.name} does not exist: create it, or pass another path"
        )
    if path.is_dir():
        raise InvalidInput(f"{what} {path} is a folder: pass a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidInput(f"{what} {path} is not writable: pass another file")


MAX_BYTES: Final = 1 << 20
"""Maximum size of a document."""
MAX_LEVELS: Final = 80
"""Maximum number of parts of a key, and of nested arrays and inline tables, as in forge (the crate `toml`)."""

_PART: Final = r"""(?: [A-Za-z0-9_-]++ | "(?:[^"\\\n]++|\\.)*+" | '[^'\n]*+' )"""
_DOT: Final = r"[ \t]*+\.[ \t]*+"
_TOKEN: Final = re.compile(
    rf'''"""(?:[^"\\]++|\\.|"(?!""))*+(?:"{{3,5}}+)?  # strings and comments, also unclosed ones
    | \'\'\'(?:[^']++|'(?!\'\'))*+(?:'{{3,5}}+)?
    | \#[^\n]*+
    | {_PART}(?:{_DOT}{_PART}){{0,{MAX_LEVELS - 1}}}+(?P<key>{_DOT}{_PART})?
    | "(?:[^"\\\n]++|\\.)*+ | '[^'\n]*+
    | (?P<open>[\[{{]) | (?P<close>[\]}}])''',
    re.DOTALL | re.VERBOSE,
)


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the content of a TOML document.

    Raises ValueError for invalid TOML, and InvalidInput (a ValueError) for a document beyond the limits.
    """
    size, level = len(text.encode()), 0
    if size > MAX_BYTES:
        raise InvalidInput(f"the TOML has {size:,} bytes, at most {MAX_BYTES:,} are allowed: split it")
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        level += (kind == "open") - (kind == "close")
        if kind == "key" or level > MAX_LEVELS:
            excess = (
                f"a key of more than {MAX_LEVELS} parts" if kind == "key" else f"more than {MAX_LEVELS} nested values"
            )
            line = text.count("\n", 0, token.start()) + 1
            raise InvalidInput(f"the TOML has {excess} at line {line}: use at most {MAX_LEVELS}")
    return tomllib.loads(text, parse_float=parse_float)
