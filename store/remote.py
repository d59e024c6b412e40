"""A store whose missing blocks come from elsewhere: each is checked against its CID, then kept.

What was fetched joins the next commit, or goes to the medium in batches, so that a read waits for no disk; a process
that is killed between has to fetch again what it had not kept yet. Where the blocks come from is the `Remote`: this
package knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final, Protocol

from store.blockstore import NOTHING, BlockCorrupt, BlockNotFound, Store, StoreIOError
from store.cid import Cid, has_digest, show

_KEPT_AT_ONCE: Final = 1_000
"""The most fetched blocks that wait for the next commit."""


class Remote(Protocol):
    """A source of the blocks that are not here."""

    def block(self, cid: Cid) -> bytes | None:
        """What is said to be the block, None where it is not there either; raises RemoteUnavailable."""

    def close(self) -> None:
        """Release what leads there."""


class RemoteUnavailable(StoreIOError):
    """The source of the blocks that are not here does not answer."""


class RemoteHashMismatch(BlockCorrupt):
    """The source answered for a block with bytes that do not have its hash."""

    def __str__(self) -> str:
        return f"block {show(self.cid)} came from the remote with bytes that do not have its hash"


class RemoteStore:
    """A `Store` over another one; `get` asks the remote for what that one lacks. All else is that one's own."""

    def __init__(self, base: Store, remote: Remote) -> None:
        self._base = base
        self.put, self.put_many = base.put, base.put_many
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index
        self._remote = remote
        self._fetched: dict[Cid, bytes] = {}
        self._lock = Lock()
        self.fetches = 0
        """Blocks that came from the remote."""

    def get(self, cid: Cid) -> bytes:
        """The block, from here or from there; BlockNotFound, RemoteUnavailable, RemoteHashMismatch."""
        waiting = self._fetched.get(cid)
        if waiting is not None:
            return waiting
        try:
            return self._base.get(cid)
        except BlockNotFound:
            pass
        data = self._remote.block(cid)
        if data is None:
            raise BlockNotFound(cid)
        if not has_digest(cid, data):
            raise RemoteHashMismatch(cid)
        with self._lock:
            self._fetched[cid] = data
            self.fetches += 1
            if len(self._fetched) >= _KEPT_AT_ONCE:
                self._keep()
        return data

    def has(self, cid: Cid) -> bool:
        """Whether the block is here or there; asking fetches it."""
        if cid in self._fetched or self._base.has(cid):
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
        """Commit to the store here, what was fetched with it."""
        with self._lock:
            self._base.commit([*self._fetched.items(), *blocks], metadata, index, expected)
            self._fetched.clear()

    def close(self) -> None:
        """Keep what was fetched, and release the store here and the remote."""
        try:
            with self._lock:
                self._keep()
        finally:
            self._base.close()
            self._remote.close()

    def _keep(self) -> None:
        if self._fetched:
            self._base.put_many(self._fetched.items())
            self._fetched.clear()
