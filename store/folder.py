"""What a store's folder says before RocksDB looks at it: whose it is, in which format, how many commits it must hold.

FORMAT names program and format version. COMMITS is the number of the last acknowledged commit, written after each
synced one and itself never synced: it may lag behind what the disk holds, but never run ahead of it. A folder that
reopens with fewer commits has lost some (a log that was cut off or removed, a disk that did not keep what it
acknowledged), and that is an error instead of a silent return to an older head.

Format 2 added the column family of marks and the count of commits; format 3 packs nodes of links (`store.packed`).
An older folder is brought up to the present format when it is first opened for writing; there is nothing to convert.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from store.blockstore import StoreCorrupt, StoreFormatError

FORMAT_FILE: Final = "FORMAT"
COMMITS_FILE: Final = "COMMITS"
VERSION: Final = 3
"""Changed whenever older programs could not read, or could damage, what is stored."""

UPGRADABLE: Final = (1, 2)
"""Older formats that this program reads, and brings up to VERSION."""

_NAME: Final = "hypervisor store, "
_DRAFT: Final = "FORMAT.new"
_DIGITS: Final = 16


def marker(version: int = VERSION) -> str:
    """What FORMAT says."""
    return f"{_NAME}format {version}\n"


def enter(folder: Path, read_only: bool) -> None:
    """Make sure that the folder is a store of this program, marking an empty one and upgrading an older one.

    Raises StoreFormatError if it is not, or if there is nothing to read in it; OSError.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreFormatError(f"{folder} is a file; a store is a folder")
    file = folder / FORMAT_FILE
    if file.is_file():
        version = _version(folder, file)
        if read_only and not (folder / "CURRENT").exists():
            raise StoreFormatError(f"nothing was ever stored in {folder}")
        if version != VERSION and not read_only:
            # First the mark, so that no older program opens what the next step leaves behind.
            _write_marker(folder)
        return
    if read_only:
        raise StoreFormatError(f"{folder} holds no store")
    if folder.exists() and any(path.name != _DRAFT for path in folder.iterdir()):
        raise StoreFormatError(f"{folder} is not empty and holds no store of this program; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_marker(folder)


def _version(folder: Path, file: Path) -> int:
    with file.open("rb") as stream:
        found = stream.read(128).decode("ascii", "replace")
    for version in (VERSION, *UPGRADABLE):
        if found == marker(version):
            return version
    if found.startswith(_NAME):
        theirs = found.removeprefix(_NAME).strip()
        raise StoreFormatError(
            f"{folder} is a store of {theirs}; this program reads formats {UPGRADABLE[0]} to {VERSION}: open it with "
            "the program that wrote it, or a newer one"
        )
    raise StoreFormatError(f"{file} does not say that {folder} is a store of this program")


def _write_marker(folder: Path) -> None:
    """Write FORMAT so that it is on the disk, and whole, before RocksDB writes anything after it."""
    draft = folder / _DRAFT
    with draft.open("w", encoding="ascii") as file:
        file.write(marker())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FORMAT_FILE)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder durable."""
    if os.name == "posix":  # elsewhere a folder cannot be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def readable(folder: Path) -> Iterator[Path]:
    """A folder in which RocksDB can be opened for reading: this one, or links to its files where it cannot be written.

    rocksdict writes a file of its own next to the database, also when it only reads.
    """
    if os.access(folder, os.W_OK):
        yield folder
        return
    with TemporaryDirectory(prefix="store-reader-") as links:
        for file in folder.iterdir():
            if file.suffix in (".sst", ".log") or file.name.startswith(("CURRENT", "MANIFEST")):
                Path(links, file.name).symlink_to(file.absolute())
        yield Path(links)


def acknowledged(folder: Path) -> int:
    """The number of the last acknowledged commit, as far as COMMITS knows; StoreCorrupt if it is unreadable."""
    try:
        text = (folder / COMMITS_FILE).read_bytes()
    except FileNotFoundError:
        return 0
    digits = text.removesuffix(b"\n")
    if len(digits) == _DIGITS and digits.isdigit():
        return int(digits)
    if not text.strip(b"\0"):
        return 0  # created, and the machine died before its content reached the disk
    raise StoreCorrupt(f"{folder / COMMITS_FILE} does not hold a number of commits")


class CommitCount:
    """COMMITS, open for writing."""

    def __init__(self, folder: Path) -> None:
        path = folder / COMMITS_FILE
        if not path.exists() or not path.stat().st_size:
            # The length is made durable here: what follows overwrites bytes of one sector, which a disk does not tear.
            with path.open("wb") as file:
                file.write(_number(0))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(folder)
        self._file = path.open("r+b", buffering=0)

    def write(self, number: int) -> None:
        """Note an acknowledged commit."""
        self._file.seek(0)
        self._file.write(_number(number))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _number(value: int) -> bytes:
    return b"%0*d\n" % (_DIGITS, value)
