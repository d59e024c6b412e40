"""User folders according to each system's conventions, and bounded reading of files."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from hypervisor.errors import HypervisorError, InvalidInput

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
