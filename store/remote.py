"""A store that fetches missing blocks from a remote, verifies them and stores them locally.

Fetched blocks are written with the next commit or in batches, so that a read does not wait for the disk. A process that
is killed in between has to fetch the unwritten ones again. `Remote` abstracts the transport: this package does not
depend on a network library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final, Protocol

from store.blockstore import NOTHING, BlockCorrupt, BlockNotFound, Store, StoreIOError
from store.cid import Cid, has_digest, show

_MAX_PENDING_BLOCKS: Final = 1_000
"""Maximum number of fetched blocks that wait for the next commit."""


class Remote(Protocol):
    """A source of blocks that are missing locally."""

    def block(self, cid: Cid) -> bytes | None:
        """Return the unverified block, or None if the remote does not have it. Raises RemoteUnavailable."""

    def close(self) -> None:
        """Close the connection."""


class RemoteUnavailable(StoreIOError):
    """Raised when the remote does not respond."""


class RemoteHashMismatch(BlockCorrupt):
    """Raised when the remote returned bytes that do not match the requested CID."""

    def __str__(self) -> str:
        return f"the remote returned bytes for block {show(self.cid)} that do not match its hash"


class RemoteStore:
    """A `Store` on top of another one; `get` fetches missing blocks from the remote."""

    def __init__(self, base: Store, remote: Remote) -> None:
        self.local = base
        """The local store, which fetched blocks are written to."""
        self.put, self.put_many = base.put, base.put_many
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index
        self.remote = remote
        self._fetched: dict[Cid, bytes] = {}
        """Fetched blocks that are not yet in the local store."""
        self._lock = Lock()
        self.fetches = 0
        """Number of blocks fetched from the remote."""

    def get(self, cid: Cid) -> bytes:
        """Return the block, local or remote. Raises BlockNotFound, RemoteUnavailable and RemoteHashMismatch."""
        pending = self._fetched.get(cid)
        if pending is not None:
            return pending
        try:
            return self.local.get(cid)
        except BlockNotFound:
            pass
        data = self.remote.block(cid)
        if data is None:
            raise BlockNotFound(cid)
        if not has_digest(cid, data):
            raise RemoteHashMismatch(cid)
        with self._lock:
            self._fetched[cid] = data
            self.fetches += 1
            if len(self._fetched) >= _MAX_PENDING_BLOCKS:
                self._write_fetched()
        return data

    def has(self, cid: Cid) -> bool:
        """Return True if the block is available locally or from the remote; this fetches a remote block."""
        if cid in self._fetched or self.local.has(cid):
            return True
        try:
            self.get(cid)
        except BlockNotFound:
            return False
        return True

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Commit to the local store, together with the fetched blocks."""
        with self._lock:
            self.local.commit([*self._fetched.items(), *blocks], metadata, index, expected)
            self._fetched.clear()

    def close(self) -> None:
        """Store the fetched blocks, and close the local store and the remote."""
        try:
            with self._lock:
                self._write_fetched()
        finally:
            self.local.close()
            self.remote.close()

    def _write_fetched(self) -> None:
        if self._fetched:
            self.local.put_many(self._fetched.items())
            self._fetched.clear()
