"""What nodes have answered about a block's state, on disk: a file for each chain and block, in the user's cache folder.

Of a block nothing changes, so an answer holds for ever. Several processes read and write at once. A file that cannot
be used is passed by: then the node is asked again.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from hypervisor.user_files import user_folder

_PATIENCE: Final = 5.0
"""Seconds that a process waits for another one's write."""
_MAKE: Final = "CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, answer TEXT NOT NULL)"


class AnswerCache:
    """Answers by question, both as text; `None` for a file: in memory only."""

    def __init__(self, file: Path | None) -> None:
        self._known: dict[str, str] = {}
        self._base: sqlite3.Connection | None = None
        if file is None:
            return
        with suppress(sqlite3.Error, OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            base.execute("PRAGMA synchronous = OFF")  # what is lost is asked for again
            base.execute(_MAKE)
            self._base = base

    def get(self, question: str) -> str | None:
        """The answer that is kept."""
        known = self._known.get(question)
        if known is None and self._base is not None:
            with suppress(sqlite3.Error):
                row = self._base.execute("SELECT answer FROM answers WHERE question = ?", (question,)).fetchone()
                if row is not None and isinstance(row[0], str):
                    known = self._known[question] = row[0]
        return known

    def keep(self, question: str, answer: str) -> None:
        """Keep an answer."""
        self._known[question] = answer
        if self._base is not None:
            with suppress(sqlite3.Error):
                self._base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (question, answer))

    def close(self) -> None:
        """Release the file."""
        if self._base is not None:
            self._base.close()
            self._base = None


def cache_file(chain_id: int, number: int, block_hash: bytes) -> Path | None:
    """Where answers about a block's state are kept; None for a user without a home."""
    try:
        folder = user_folder("cache")
    except RuntimeError:
        return None
    return folder / "rpc" / str(chain_id) / f"{number}-{block_hash[:8].hex()}.sqlite"
