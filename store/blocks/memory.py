"""Blockstores in memory: a volatile store, a write buffer over another store, and overlays over read-only ones.

The machine writes every block of an execution to a buffer, including those of calls that are reverted later.
`reachable` then selects the blocks that the new state root links to. Source: ref-fvm `blockstore/buffered.rs`.

Blocks fetched from a remote are written with the next commit or in batches, so that a read does not wait for the disk.
A process that is killed in between has to fetch the unwritten ones again. `Remote` abstracts the transport: this
package does not depend on a network library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final, Protocol

from store.blockstore import (
    NOTHING,
    BlockCorrupt,
    BlockNotFound,
    Blockstore,
    SpillStore,
    Store,
    StoreIOError,
    StoreReadOnly,
    check_expected,
)
from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, RAW_CID_PREFIX, Cid, has_digest, show
from store.codec import RewrittenBlock
from store.links import links_of, scan_links, state_codec, targets


class MemoryStore:
    """A `Store` over dicts."""

    def __init__(self) -> None:
        self._blocks: dict[Cid, bytes] = {}
        self._metadata: dict[bytes, bytes] = {}
        self._index: dict[bytes, bytes] = {}
        self._lock = Lock()

    def get(self, cid: Cid) -> bytes:
        data = self._blocks.get(cid)
        if data is None:
            raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        return cid in self._blocks

    def put(self, cid: Cid, data: bytes) -> None:
        self._blocks[cid] = data

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self._blocks.update(blocks)

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        new = dict(blocks)  # consume the iterables first: if one raises, the store is unchanged
        new.update(chain)
        with self._lock:
            check_expected(self, expected)
            self._blocks.update(new)
            _change(self._metadata, metadata)
            _change(self._index, index)

    def metadata(self, key: bytes) -> bytes | None:
        return self._metadata.get(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        return dict(sorted(self._metadata.items()))

    def index(self, key: bytes) -> bytes | None:
        return self._index.get(key)

    def close(self) -> None:
        """Do nothing; the blocks stay readable as long as the object exists."""

    def __len__(self) -> int:
        return len(self._blocks)


def _change(entries: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value


_PREFIX: Final = len(CBOR_CID_PREFIX)
_USUAL: Final = (CBOR_CID_PREFIX, RAW_CID_PREFIX)
"""Prefixes of links that need no validation, since `links_of` has checked the digest length they announce."""


class BufferedStore:
    """A `Blockstore` that reads through to `base` and never writes to it."""

    def __init__(self, base: Blockstore) -> None:
        self.base = base
        self.pending: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """Return the block from the buffer or the base. Raises BlockNotFound."""
        data = self.pending.get(cid)
        return self.base.get(cid) if data is None else data

    def has(self, cid: Cid) -> bool:
        """Return True if the buffer or the base has the block."""
        return cid in self.pending or self.base.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Add one block to the buffer."""
        self.pending.setdefault(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Add blocks to the buffer."""
        # Keep the first insertion position: `forget_after` must not drop a block before the ones rewritten from it.
        for cid, data in blocks:
            self.pending.setdefault(cid, data)

    def reachable(self, root: Cid) -> list[tuple[Cid, bytes]]:
        """Return the buffered blocks reachable from `root`, each once, depth first.

        A block that is not in the buffer is assumed to be in the base together with everything it links to. For a
        rewritten version of such a block, only the new links are followed. Raises StoreCorrupt for a link that a state
        may not contain (unsupported codec or hash) and CodecError for a malformed block.
        """
        found: dict[Cid, bytes] = {}
        is_usual = root.startswith(CBOR_CID_PREFIX) and len(root) == BLAKE2B_CID_LENGTH
        todo = [root] if is_usual else [cid for cid in targets(root)[::-1] if state_codec(cid)]
        pending = self.pending
        while todo:
            cid = todo.pop()
            data = pending.get(cid)
            if data is None or cid in found:
                continue
            if type(data) is RewrittenBlock and data.before not in pending:
                links = data.links
            else:
                is_usual = cid.startswith(CBOR_CID_PREFIX)
                links = scan_links(data) if is_usual else links_of(data, state_codec(cid))
            found[cid] = data if type(data) is bytes else bytes(data)  # drop the rewrite information
            for link in reversed(links):
                if link in pending:
                    todo.append(link)
                elif link[:_PREFIX] not in _USUAL:
                    state_codec(link)
        return list(found.items())

    def spill(self, store: SpillStore) -> None:
        """Move all buffered blocks to a store, to bound memory while a state is rewritten.

        Every block that a buffered one links to must be in the buffer or in the base; `reachable` relies on it.
        """
        if self.pending:
            store.spill((cid, bytes(data)) for cid, data in self.pending.items())
            self.pending.clear()

    def forget_after(self, count: int) -> None:
        """Drop all but the first `count` blocks; blocks are ordered by their first `put`."""
        while len(self.pending) > count:
            self.pending.popitem()

    def clear(self) -> None:
        """Drop all buffered blocks."""
        self.pending.clear()


class OverlayStore:
    """A `Store` that reads through to `base` and never writes to it. With `closes`, closing it also closes `base`."""

    def __init__(self, base: Store, *, closes: bool = False) -> None:
        self._base, self._closes = base, closes
        self._own = MemoryStore()
        self._metadata: dict[bytes, bytes | None] = {}
        self._index: dict[bytes, bytes | None] = {}
        self._lock = Lock()

    def get(self, cid: Cid) -> bytes:
        """Return the block from the overlay or the base. Raises BlockNotFound."""
        try:
            return self._own.get(cid)
        except BlockNotFound:
            return self._base.get(cid)

    def has(self, cid: Cid) -> bool:
        """Return True if the overlay or the base has the block."""
        return self._own.has(cid) or self._base.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        self._own.put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self._own.put_many(blocks)

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        new = dict(blocks)
        new.update(chain)
        with self._lock:
            check_expected(self, expected)
            self._own.put_many(new.items())
            self._metadata.update(metadata)
            self._index.update(index)

    def metadata(self, key: bytes) -> bytes | None:
        """Return the metadata under `key`, preferring the overlay's."""
        return self._metadata[key] if key in self._metadata else self._base.metadata(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        """Return all metadata, preferring the overlay's, sorted by key."""
        merged: dict[bytes, bytes | None] = {**self._base.all_metadata(), **self._metadata}
        return {key: value for key, value in sorted(merged.items()) if value is not None}

    def index(self, key: bytes) -> bytes | None:
        """Return the index entry under `key`, preferring the overlay's."""
        return self._index[key] if key in self._index else self._base.index(key)

    def close(self) -> None:
        """Close the base if this store was created with `closes`."""
        if self._closes:
            self._base.close()


class ReadOnlyStore:
    """A `Store` that reads from another one, also while that one commits."""

    def __init__(self, base: Store) -> None:
        self.get, self.has = base.get, base.has
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot store blocks: the store was opened read-only")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot store blocks: the store was opened read-only")

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        """Raise StoreReadOnly."""
        raise StoreReadOnly("cannot commit: the store was opened read-only")

    def close(self) -> None:
        """Do nothing; the store belongs to the machine that commits."""


class RecordingBlockstore:
    """A read-only view of a store that records each block on its first read."""

    def __init__(self, store: Blockstore) -> None:
        self._store = store
        self._seen: set[Cid] = set()
        self._new: dict[Cid, bytes] = {}

    def get(self, cid: Cid) -> bytes:
        """Return the block and record it. Raises the errors of the store."""
        data = self._store.get(cid)
        if cid not in self._seen:
            self._seen.add(cid)
            self._new[cid] = data
        return data

    def take(self) -> list[tuple[Cid, bytes]]:
        """Return the blocks recorded since the last call, in the order of their first reads."""
        new = list(self._new.items())
        self._new.clear()
        return new

    def has(self, cid: Cid) -> bool:
        """Return True if the store has the block; this is not recorded."""
        return self._store.has(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Raise NotImplementedError: the view is read-only."""
        raise NotImplementedError

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Raise NotImplementedError: the view is read-only."""
        raise NotImplementedError


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
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        """Commit to the local store, together with the fetched blocks."""
        with self._lock:
            self.local.commit(blocks, metadata, index, expected, (*self._fetched.items(), *chain))
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
