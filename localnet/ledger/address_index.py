"""An index of the chain by address and topic: the heights that may contain an address, a topic or a nonce.

The index is optional and derived from the chain's index. It is rebuilt if it is missing or damaged. Callers check
each height on the chain, so a wrong entry costs one lookup. The index is valid up to its newest tipset on the chain.

It is an SQLite database, in the chain's folder or in memory. Keys are short hashes of everything that a message
concerns:

    tipsets   HEIGHT, the first eight bytes of the tipset's hash
    places    eight bytes of the key's hash, HEIGHT
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.address import Address
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import NullRound, Tipset, TransactionReceipt
from store.blockstore import StoreCorrupt, StoreError


def message_key(address: EthAddress) -> int:
    """Return the key of messages from or to an address, or that created a contract there."""
    return _key(b"m", address)


def native_key(address: Address) -> int:
    """Return the key of messages from or to an address, as written in the message."""
    return _key(b"n", address.to_bytes())


def emitter_key(address: EthAddress) -> int:
    """Return the key of an actor's events."""
    return _key(b"e", address)


def topic_key(topic: bytes) -> int:
    """Return the key of logs with a topic, at any position."""
    return _key(b"t", topic)


def nonce_key(sender: EthAddress, nonce: int) -> int:
    """Return the key of the message with a sender's nonce."""
    return _key(b"s", sender + nonce.to_bytes(8, "big"))


def _key(kind: bytes, what: bytes) -> int:
    return int.from_bytes(blake2b(what, digest_size=8, person=kind).digest(), "big", signed=True)


def keys_of(receipt: TransactionReceipt) -> set[int]:
    """Return the index keys of an executed message."""
    done, sent = receipt.execution, receipt.candidate
    ends = (sent.sender, sent.to, receipt.contract_address)
    return {
        *(message_key(each) for each in ends if each is not None),
        native_key(sent.bare.from_),
        native_key(sent.bare.to),
        nonce_key(sent.sender, sent.bare.nonce),
        *(emitter_key(event.address) for event in done.events),
        *(topic_key(topic) for emitted in receipt.logs for topic in emitted.log.topics),
    }


FILE: Final = "addresses.sqlite"
"""Name of the index file in a chain's folder."""
_FORMAT: Final = 1
"""Version of the format; an index with another version is rebuilt."""
_MAX_BACK: Final = 10_000
"""Maximum number of reverted tipsets that are searched for the last valid one."""
_PAGE: Final = 200
"""Number of heights per query."""
_SCHEMA: Final = f"""
    DROP TABLE IF EXISTS tipsets;
    DROP TABLE IF EXISTS places;
    CREATE TABLE tipsets (height INTEGER PRIMARY KEY, hash BLOB NOT NULL);
    CREATE TABLE places (key INTEGER NOT NULL, height INTEGER NOT NULL, PRIMARY KEY (key, height)) WITHOUT ROWID;
    PRAGMA user_version = {_FORMAT};
"""


class AddressIndex:
    """The address index. One thread calls `follow`; all threads may read."""

    def __init__(self, file: Path | None = None) -> None:
        """Open the index in a file, or create one there or in memory. Raises StoreError."""
        self._database, self._name = _open(file), file
        self._reading = Lock()

    def follow(self, chain: ChainIndex, limit: int = 200) -> bool:
        """Index up to `limit` new tipsets of the chain; return True if there are more. Raises the store's errors."""
        top = self.top_on(chain)
        height, wanted = chain.first if top is None else top + 1, limit
        with self._transaction():
            outside = "DELETE FROM tipsets WHERE height > ? OR height < ?"
            self._database.execute(outside, (-1 if top is None else top, chain.first))
            while wanted and (found := chain.at(height)) is not None:
                if isinstance(found, NullRound):
                    height = found.after
                elif self._add(chain, found):
                    height, wanted = found.height + 1, wanted - 1
                else:
                    return True  # the chain was reorganised concurrently
        return chain.at(height) is not None

    def top_on(self, chain: ChainIndex) -> int | None:
        """Return the height up to which the index covers this chain; None if it covers none of it."""
        height = chain.head
        for _ in range(_MAX_BACK // _PAGE):
            newest = "SELECT height, hash FROM tipsets WHERE height <= ? ORDER BY height DESC LIMIT ?"
            page = self._read(newest, (height, _PAGE if height < chain.head else 1))
            for each, digest in page:
                found = chain.at(each)
                if isinstance(found, Tipset) and found.hash[:8] == digest:
                    return int(each)
            if not page:
                return None
            height = page[-1][0] - 1
        return None

    def back(self, keys: tuple[int, ...], height: int) -> Iterator[int]:
        """Yield the heights that may concern any of the keys, from a height downwards."""
        yield from self._heights("<=", "DESC", keys, height, -1)

    def forward(self, keys: tuple[int, ...], height: int) -> Iterator[int]:
        """Yield the heights that may concern any of the keys, from a height upwards."""
        yield from self._heights(">=", "ASC", keys, height, 1)

    def _heights(self, where: str, order: str, keys: tuple[int, ...], height: int, step: int) -> Iterator[int]:
        marks = ", ".join("?" * len(keys))
        query = f"SELECT DISTINCT height FROM places WHERE key IN ({marks}) AND height {where} ? "  # noqa: S608  # contains placeholders only
        query += f"ORDER BY height {order} LIMIT {_PAGE}"
        while True:
            page = self._read(query, (*keys, height))
            for (found,) in page:
                yield int(found)
            if len(page) < _PAGE:
                return
            height = page[-1][0] + step

    def _read(self, query: str, values: tuple[int, ...]) -> list[Any]:
        """Run a query, one at a time, and return its rows. Raises StoreCorrupt.

        A connection keeps its statements: from Python 3.12 on two threads with the same query mix parameters and rows.
        """
        try:
            with self._reading:
                return self._database.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"the index by address cannot be read ({error}): remove {self._name}") from None

    def _add(self, chain: ChainIndex, tipset: Tipset) -> bool:
        """Add a tipset; return False if its height was rebuilt while its messages were read."""
        keys = {key for receipt in chain.receipts(tipset) for key in keys_of(receipt)}
        now = chain.at(tipset.height)
        if not isinstance(now, Tipset) or now.key != tipset.key:
            return False
        self._database.executemany("INSERT OR IGNORE INTO places VALUES (?, ?)", [(key, tipset.height) for key in keys])
        self._database.execute("INSERT OR REPLACE INTO tipsets VALUES (?, ?)", (tipset.height, tipset.hash[:8]))
        return True

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _open(file: Path | None) -> sqlite3.Connection:
    try:
        return _connect(file)
    except sqlite3.DatabaseError as error:
        if file is None or isinstance(error, sqlite3.OperationalError):
            raise StoreError(
                f"the index by address {file} cannot be opened ({error}): make its folder "
                f"writable, or remove the file, which is rebuilt from the chain"
            ) from None
        for each in (file, *(file.with_name(f"{file.name}-{part}") for part in ("wal", "shm"))):
            each.unlink(missing_ok=True)  # unreadable; the index is derived from the chain
        return _connect(file)


def _connect(file: Path | None) -> sqlite3.Connection:
    # One connection is shared by the thread that follows the chain and those that read (`_read`).
    database = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if database.execute("PRAGMA user_version").fetchone() != (_FORMAT,):
            database.executescript(_SCHEMA)
        database.execute("SELECT max(height) FROM tipsets").fetchone()
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
