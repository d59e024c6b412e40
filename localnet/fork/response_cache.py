"""Cache of nodes' responses: a file per chain and node, in the user's cache folder, with entries by block and request.

Nodes, tests and scripts share the files. Blocks do not change, so entries stay valid, but only for the node that sent
them. Entries under `NODE` are about the node itself, such as its newest block; they are read only with `--offline`.

Each entry has a checksum. A damaged entry is treated as missing, and a damaged file is replaced. Several processes and
threads use a file. A lock serialises the threads: from Python 3.12 on, threads that share a connection mix the
parameters of its cached statements.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from hashlib import blake2b, sha256
from pathlib import Path
from threading import Lock
from typing import Final

from hypervisor.installation import user_folder

NODE: Final = "node"
"""The block of entries about a node's chain as a whole."""
MAX_FILE_BYTES: Final = 256 << 20
"""Maximum bytes of one file. A full file drops the oldest quarter of its entries."""
MAX_FOLDER_BYTES: Final = 1 << 30
"""Maximum bytes of all files in the user's cache folder. Opening a file deletes those that were used least recently."""
_PAGE: Final = 4096
_LOCK_TIMEOUT: Final = 5.0
"""Time limit in seconds for the file lock of another process."""
_DIGITS: Final = 32
_USER: Final = re.compile(r"//[^/?#]*@")
"""Number of hex digits of the URL's digest (`_DIGITS`), and the credentials that are not part of it (`_USER`)."""
_MAKE: Final = """
CREATE TABLE IF NOT EXISTS responses (
    block TEXT, request TEXT, response TEXT NOT NULL, checksum BLOB NOT NULL, PRIMARY KEY (block, request)
)
"""
_GET: Final = "SELECT response, checksum FROM responses WHERE block = ? AND request = ?"
_PUT: Final = "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)"
_DROP_OLDEST: Final = """
DELETE FROM responses WHERE rowid <= (SELECT MIN(rowid) + (MAX(rowid) - MIN(rowid)) / 4 FROM responses)
"""


class ResponseCache:
    """Responses by block and request, as text. The first file with an entry is read, and all are written."""

    def __init__(self, *files: Path | None, read_only: bool = False) -> None:
        """Open the files; without any, nothing is cached. `read_only` opens existing files, and changes none."""
        self._files = [_CacheFile(file, read_only) for file in files if file is not None]

    def get(self, block: str, request: str) -> str | None:
        """Return the cached response, or None."""
        for file in self._files:
            found = file.get(block, request)
            if found is not None:
                return found
        return None

    def put(self, block: str, request: str, response: str) -> None:
        """Store a response."""
        for file in self._files:
            file.put(block, request, response)

    def missing(self, block: str, request: str) -> str:
        """Return the reason why an entry was not found, as the end of a sentence that begins with its name."""
        for file in self._files:
            if file.is_damaged or (block, request) in file.damaged_entries:
                return f"is damaged in the cache file {file.path}"
        return "is not in the cache"

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


class _CacheFile:
    """One SQLite file. An unusable one is ignored."""

    def __init__(self, path: Path, read_only: bool) -> None:
        self.path = path
        self.is_damaged = False
        """True if the file is not a valid database, and was not replaced."""
        self.damaged_entries: set[tuple[str, str]] = set()
        """Entries that were read and did not match their checksum."""
        self._read_only = read_only
        self._base: sqlite3.Connection | None = None
        self._lock = Lock()
        with suppress(OSError, sqlite3.Error):
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                _limit_folder(path)
            self._open()

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.Error as error:
            self.close()
            if not self._replace(error):
                raise
            self._connect()

    def _connect(self) -> None:
        mode = "ro" if self._read_only else "rwc"
        self._base = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            timeout=_LOCK_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        if self._read_only:
            self._base.execute("SELECT COUNT(*) FROM sqlite_master")  # rejects a file that is not a database
            return
        os.utime(self.path)  # the time of the last use (`_limit_folder`)
        self._base.execute("PRAGMA synchronous = OFF")  # lost entries are requested again
        self._base.execute(f"PRAGMA max_page_count = {MAX_FILE_BYTES // _PAGE}")
        self._base.execute("DROP TABLE IF EXISTS answers")  # the format without checksums
        self._base.execute(_MAKE)

    def _replace(self, error: sqlite3.Error) -> bool:
        """Delete a file that is not a valid database; return False for any other error, or if it is only read."""
        if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
            return False
        self.is_damaged = True
        if self._read_only:
            return False
        self.path.unlink(missing_ok=True)
        self.is_damaged = False
        return True

    def get(self, block: str, request: str) -> str | None:
        with self._lock, suppress(OSError):
            if self._base is None:
                return None
            try:
                row = self._base.execute(_GET, (block, request)).fetchone()
            except sqlite3.Error as error:
                self._recover(error)
                return None
            if row is None:
                return None
            response, checksum = row
            if isinstance(response, str) and checksum == _checksum(block, request, response):
                return response
            self.damaged_entries.add((block, request))
        return None

    def put(self, block: str, request: str, response: str) -> None:
        if self._read_only:
            return
        entry = (block, request, response, _checksum(block, request, response))
        with self._lock, suppress(OSError):
            if self._base is None:
                return
            try:
                self._base.execute(_PUT, entry)
            except sqlite3.OperationalError:
                with suppress(sqlite3.Error):
                    self._base.execute(_DROP_OLDEST)
                    self._base.execute(_PUT, entry)
            except sqlite3.Error as error:
                self._recover(error)

    def _recover(self, error: sqlite3.Error) -> None:
        """Replace a file that turned out to be damaged."""
        if isinstance(error, sqlite3.OperationalError):
            return
        self.close()
        with suppress(sqlite3.Error):
            if self._replace(error):
                self._connect()

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None


def _checksum(*texts: str) -> bytes:
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode(errors="surrogatepass") + b"\0")
    return digest.digest()


def _limit_folder(path: Path) -> None:
    """Delete the least recently used files of the user's cache folder until the rest is within the limit."""
    try:
        folder = rpc_folder()
    except RuntimeError:
        return
    if not path.is_relative_to(folder):
        return
    files = [(stat.st_mtime, stat.st_size, file) for file in folder.glob("*/*.sqlite") for stat in (file.stat(),)]
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= MAX_FOLDER_BYTES:
            return
        if file != path:
            file.unlink(missing_ok=True)
            total -= size


def rpc_folder() -> Path:
    """Return the folder of all cache files. Raises RuntimeError for a user without a home folder."""
    return user_folder("cache") / "rpc"


def cache_file(chain_id: int, url: str) -> Path | None:
    """Return the cache file of a node and a chain; None for a user without a home folder.

    The name is a digest of the URL without user and password: another node's answers are never read.
    """
    try:
        return rpc_folder() / str(chain_id) / _file_name(url)
    except RuntimeError:
        return None


def cached_chain_id(url: str) -> int | None:
    """Return the ID of the chain of a node whose responses are cached; None if none are.

    A node that has served several chains has the one whose file was written last.
    """
    try:
        files = [file for file in rpc_folder().glob(f"*/{_file_name(url)}") if file.parent.name.isdecimal()]
    except RuntimeError:
        return None
    return int(max(files, key=lambda file: file.stat().st_mtime).parent.name) if files else None


def _file_name(url: str) -> str:
    digest = sha256(_USER.sub("//***@", url).encode()).hexdigest()
    return f"{digest[:_DIGITS]}.sqlite"
