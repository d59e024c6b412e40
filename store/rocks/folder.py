"""Checks on a store's folder before RocksDB opens it: owner, format version and number of commits.

FORMAT names the program and the format version. COMMITS holds the number of the last acknowledged commit; it is written
after each synced commit but not synced itself, so it may lag behind the database and is never ahead of it. If the
database has fewer commits than that (a truncated or removed log, a disk that lost acknowledged writes), opening fails
instead of silently returning to an older head.

Format 2 added the column family of marks and the commit count; format 3 packs nodes of links (`store.rocks.options`). A
folder in an older format is upgraded when it is first opened for writing; its data needs no conversion.
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
"""Format version; incremented whenever older programs could not read, or could damage, the stored data."""

UPGRADABLE: Final = (1, 2)
"""Older format versions that this program reads and upgrades to VERSION."""

_NAME: Final = "hypervisor store, "
_DRAFT: Final = "FORMAT.new"
_DIGITS: Final = 16


def marker(version: int = VERSION) -> str:
    """Return the content of the FORMAT file."""
    return f"{_NAME}format {version}\n"


def check_folder(folder: Path, read_only: bool) -> None:
    """Check that the folder is a store of this program; initialize an empty folder and upgrade an older format.

    Raises StoreFormatError if it is not a store, or is empty and opened for reading, StoreCorrupt if the file CURRENT
    is missing from one with data, and OSError.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreFormatError(f"{folder} is a file, not a folder; pass the path of a folder")
    version = _version(folder, folder / FORMAT_FILE)
    if version is not None:
        if read_only and not (folder / "CURRENT").exists():
            if acknowledged_commits(folder) or any(path.suffix in (".sst", ".log") for path in folder.iterdir()):
                raise StoreCorrupt(
                    f"the store in {folder} is corrupt: the file CURRENT is missing; restore the folder from a copy"
                )
            raise StoreFormatError(f"the store in {folder} is empty")
        if version != VERSION and not read_only:
            # Update FORMAT first, so that an older program cannot open a partially upgraded folder.
            _write_marker(folder)
        return
    if read_only:
        raise StoreFormatError(f"{folder} does not contain a store")
    if folder.exists() and any(path.name != _DRAFT for path in folder.iterdir()):
        raise StoreFormatError(
            f"{folder} is not empty and does not contain a store of this program; pass another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_marker(folder)


def _version(folder: Path, file: Path) -> int | None:
    """Return the format version, or None if there is no FORMAT file."""
    try:
        with file.open("rb") as stream:
            found = stream.read(128).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    for version in (VERSION, *UPGRADABLE):
        if found == marker(version):
            return version
    if found.startswith(_NAME):
        found_format = found.removeprefix(_NAME).strip()
        raise StoreFormatError(
            f"{folder} is a store of {found_format}; this program reads formats {UPGRADABLE[0]} to {VERSION}: "
            "open it with the program that wrote it, or a newer one"
        )
    raise StoreFormatError(f"{file} does not identify {folder} as a store of this program")


def _write_marker(folder: Path) -> None:
    """Write the FORMAT file atomically and durably, before RocksDB writes to the folder."""
    draft = folder / _DRAFT
    with draft.open("w", encoding="ascii") as file:
        file.write(marker())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FORMAT_FILE)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder durable."""
    if os.name == "posix":  # other systems cannot sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def readable_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder in which RocksDB can open the database for reading.

    rocksdict writes a file next to the database even when it only reads, so a folder without write permission is
    replaced by a temporary folder with links to its files.
    """
    if os.access(folder, os.W_OK):
        yield folder
        return
    with TemporaryDirectory(prefix="store-reader-") as links:
        for file in folder.iterdir():
            if file.suffix in (".sst", ".log") or file.name.startswith(("CURRENT", "MANIFEST")):
                Path(links, file.name).symlink_to(file.absolute())
        yield Path(links)


def acknowledged_commits(folder: Path) -> int:
    """Return the number of the last acknowledged commit according to COMMITS.

    Raises StoreCorrupt if the file is malformed.
    """
    try:
        text = (folder / COMMITS_FILE).read_bytes()
    except FileNotFoundError:
        return 0
    digits = text.removesuffix(b"\n")
    if len(digits) == _DIGITS and digits.isdigit():
        return int(digits)
    if not text.strip(b"\0"):
        return 0  # the system crashed before the content of the new file reached the disk
    raise StoreCorrupt(f"{folder / COMMITS_FILE} is malformed: expected a number of {_DIGITS} digits")


class CommitCount:
    """The COMMITS file, open for writing."""

    def __init__(self, folder: Path) -> None:
        path = folder / COMMITS_FILE
        if not path.exists() or not path.stat().st_size:
            # Sync the file at its full length: later writes change bytes of one sector, which disks write atomically.
            with path.open("wb") as file:
                file.write(_number(0))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(folder)
        self._file = path.open("r+b", buffering=0)

    def write(self, number: int) -> None:
        self._file.seek(0)
        self._file.write(_number(number))

    def close(self) -> None:
        self._file.close()


def _number(value: int) -> bytes:
    return b"%0*d\n" % (_DIGITS, value)
