"""Pickles of jobs and results, in which paths of sent files stand for their copies on a worker's machine.

An archive holds files and folders, and is identified by its digest. `dump` replaces each path below one of them by the
digest and the path in the archive; `load` replaces these by the path of the unpacked copy.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePath
from pickle import HIGHEST_PROTOCOL, Pickler, Unpickler
from typing import Any, Final, cast

MAX_BYTES: Final = 1 << 30
"""Size in bytes above which a file or folder is not sent, so that workers must have it at the same path."""
_NOT_SENT: Final = frozenset((".git", "__pycache__"))


@dataclass(frozen=True, slots=True)
class Archive:
    """Files and folders by their absolute paths, as a compressed tar file; each is in a numbered folder."""

    digest: str
    data: bytes
    roots: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Archive:
        """Pack files and folders, without those that are missing or too large.

        Links stay links, and those that lead out of their folder are left out: no other file of this machine is sent.
        """
        roots = tuple(path.absolute() for path in dict.fromkeys(paths) if _is_small(path))
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for number, root in enumerate(roots):
                name = f"{number}/{root.name}"
                tar.add(root.resolve(), name, filter=_sent_of(root.resolve(), name))
        return cls(sha256(packed.getvalue()).hexdigest(), zlib.compress(packed.getvalue(), 1), roots)

    def place(self, path: PurePath) -> tuple[str, str] | None:
        """Return the digest and the path in the archive, or None for a path that is not below a root."""
        absolute = Path(path).absolute()
        for number, root in enumerate(self.roots):
            if absolute.is_relative_to(root):
                return self.digest, f"{number}/{root.name}/{absolute.relative_to(root).as_posix()}"
        return None


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of an archive to a folder."""
    with tarfile.open(fileobj=BytesIO(zlib.decompress(data)), mode="r") as tar:
        tar.extractall(folder, filter="data")


def dump(value: object, archive: Archive | None = None) -> bytes:
    """Return a value as bytes, with the places of the archive's paths."""
    written = BytesIO()
    _PathPickler(written, archive).dump(value)
    return written.getvalue()


def load(data: bytes, folders: Mapping[str, str] | None = None) -> Any:
    """Return the value of `dump`. `folders` are those of unpacked archives by their digests."""
    return _PathUnpickler(BytesIO(data), folders or {}).load()


class _PathPickler(Pickler):
    def __init__(self, file: BytesIO, archive: Archive | None) -> None:
        super().__init__(file, HIGHEST_PROTOCOL)
        self._archive = archive

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if self._archive is None or not isinstance(value, PurePath):
            return None
        return self._archive.place(value)


class _PathUnpickler(Unpickler):
    def __init__(self, file: BytesIO, folders: Mapping[str, str]) -> None:
        super().__init__(file)
        self._folders = folders

    def persistent_load(self, place: object) -> Path:
        digest, path = cast("tuple[str, str]", place)
        return Path(self._folders[digest]) / path


def _is_small(path: Path) -> bool:
    if not path.is_file() and not path.is_dir():
        return False
    size = path.stat().st_size
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if name not in _NOT_SENT]
        entries = [os.lstat(os.path.join(folder, name)) for name in files]
        size += sum(entry.st_size for entry in entries if stat.S_ISREG(entry.st_mode))
        if size > MAX_BYTES:
            return False
    return size <= MAX_BYTES


def _sent_of(root: Path, name: str) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    """Return a filter for the entries of a root with this name: it returns None for one that is not sent."""

    def sent(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if PurePath(member.name).name in _NOT_SENT:
            return None
        if not member.issym():
            return member if member.isreg() or member.isdir() or member.islnk() else None
        link = root / PurePath(member.name).relative_to(name)
        target = Path(os.path.realpath(link))
        if not target.exists() or not target.is_relative_to(root):
            return None
        member.linkname = os.path.relpath(target, link.parent)  # not by way of other links, or absolute
        return member

    return sent
