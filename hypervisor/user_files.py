"""The user's files: where this program keeps its own, by each system's custom, and files of others read in bounds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Literal

from hypervisor.errors import InvalidInput

_FOLDER: Final = "fvm-hypervisor"
_LIBRARY: Final = {"data": "Application Support", "cache": "Caches"}
_XDG: Final = {"data": ("XDG_DATA_HOME", ".local/share"), "cache": ("XDG_CACHE_HOME", ".cache")}
"""The environment's variable, and the folder below the home where it is not set. Source: XDG Base Directory."""


def user_folder(kind: Literal["data", "cache"]) -> Path:
    """Where this program keeps what the user wants kept, or what it can make again. RuntimeError without a home."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / _LIBRARY[kind]
    else:
        variable, below = _XDG[kind]
        base = Path(os.environ.get(variable) or Path.home() / below)
    return base / _FOLDER


def read_bounded(path: Path, most: int, what: str, kind: type[InvalidInput] = InvalidInput) -> bytes:
    """A file of at most `most` bytes; an error of `kind` that calls it `what` for a longer one, or none to be read."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a device or a pipe has no end
            raise kind(f"{what} {path} is not a file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise kind(f"{what} {path} cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise kind(f"{what} {path} is longer than {most:,} bytes")
    return data


def check_output(path: Path | None, what: str) -> None:
    """InvalidInput unless a file can be written at a path, so that this is said before the work, not after it.

    None is a file that was not asked for.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {path.parent} to write {what} {path.name} to: make it, or name another")
    if path.is_dir():
        raise InvalidInput(f"{what} {path} is a folder: name a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidInput(f"{what} {path} may not be written: name another file")
