"""Cache of nodes' responses about blocks' states: a file per chain and node, in the user's cache folder.

Blocks do not change, so entries stay valid, but only for the node that sent them. Several processes and threads use a
file. A lock serialises the threads: from Python 3.12 on, threads that share a connection mix the parameters of its
cached statements. An unusable file is ignored, and requests are sent again.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

from hypervisor.user_files import user_folder

_PATIENCE: Final = 5.0
"""Seconds that a process waits for another one's write."""
_DIGITS: Final = 32
_USER: Final = re.compile(r"//[^/?#]*@")
"""Number of hex digits of the URL's digest (`_DIGITS`), and the credentials that are not part of it (`_USER`)."""
_MAKE: Final = """
CREATE TABLE IF NOT EXISTS answers (block TEXT, question TEXT, answer TEXT NOT NULL, PRIMARY KEY (block, question))
"""
_GET: Final = "SELECT answer FROM answers WHERE block = ? AND question = ?"
_KEEP: Final = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"


class ResponseCache:
    """Responses by block and request, as text; without a file nothing is cached."""

    def __init__(self, file: Path | None) -> None:
        self._base: sqlite3.Connection | None = None
        self._lock = Lock()
        if file is None:
            return
        with suppress(sqlite3.Error, OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                self._base.execute("PRAGMA synchronous = OFF")  # lost entries are requested again
                self._base.execute(_MAKE)
            except sqlite3.Error:
                self.close()

    def get(self, block: str, request: str) -> str | None:
        """Return the cached response."""
        if self._base is not None:
            with self._lock, suppress(sqlite3.Error):
                row = self._base.execute(_GET, (block, request)).fetchone()
                if row is not None and isinstance(row[0], str):
                    return row[0]
        return None

    def put(self, block: str, request: str, response: str) -> None:
        """Store a response."""
        if self._base is not None:
            with self._lock, suppress(sqlite3.Error):
                self._base.execute(_KEEP, (block, request, response))

    def close(self) -> None:
        """Close the file."""
        if self._base is not None:
            self._base.close()
            self._base = None


def cache_file(chain_id: int, url: str) -> Path | None:
    """Return the cache file of a node and a chain; None for a user without a home folder.

    The name is a digest of the URL without user and password: another node's answers are never read.
    """
    try:
        folder = user_folder("cache")
    except RuntimeError:
        return None
    digest = sha256(_USER.sub("//***@", url).encode()).hexdigest()
    return folder / "rpc" / str(chain_id) / f"{digest[:_DIGITS]}.sqlite"
