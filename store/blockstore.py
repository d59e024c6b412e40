"""The blockstore protocols, and the errors that stores raise.

    StoreError
    ├── BlockNotFound     no block with this CID
    ├── StoreCorrupt      stored data is malformed
    │   ├── BlockCorrupt  a block does not match the hash in its CID
    │   └── TreeNodeError a block is not a valid node (HamtError, AmtError, KamtError)
    ├── StoreFormatError  the path is not a folder, or the folder belongs to another program or has an
    │                     unsupported version
    ├── StoreLocked       another process has the folder open for writing
    ├── StoreReadOnly     a write to a store opened for reading, or on a read-only file system
    ├── StoreIOError      an input/output error of the disk
    │   ├── StoreFull     no space left: disk, quota or file size limit
    │   └── StoreDenied   insufficient permissions on the folder or its files
    ├── StoreClosed       use after close
    ├── HeadMoved         a compare-and-swap found another value than expected
    └── CarError          a CAR file is malformed

`CidError` (`store.cid`) and `CodecError` (`store.codec`) are ValueErrors, since they concern bytes and not stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from store.cid import Cid, cid_of, show
from store.codec import decode, encode

NOTHING: Final[Mapping[bytes, bytes | None]] = MappingProxyType({})
"""An empty set of changes."""


class StoreError(Exception):
    """Base class of all store errors."""


class BlockNotFound(StoreError):
    """Raised when no block is stored under `cid`.

    `path` holds the CIDs of the blocks from a root down to the one that links to it, if known.
    """

    def __init__(self, cid: Cid, path: tuple[Cid, ...] = ()) -> None:
        super().__init__(cid, path)
        self.cid = cid
        self.path = path

    def __str__(self) -> str:
        return f"block {_text(self.cid)} is not in the store{path_text(self.path)}"


class StoreCorrupt(StoreError):
    """Raised when stored data is malformed."""


class BlockCorrupt(StoreCorrupt):
    """Raised when the bytes stored under `cid` do not match its hash, or its hash function is not supported."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        return f"block {_text(self.cid)} is corrupt: the stored bytes do not match the hash in the CID"


class TreeNodeError(StoreCorrupt):
    """Raised when a block is not a valid node of the collection being read."""


class StoreFormatError(StoreError):
    """Raised when a path cannot be a folder, or a folder has another program's format or an unsupported version."""


class StoreLocked(StoreError):
    """Raised when another process has the folder open for writing."""


class StoreReadOnly(StoreError):
    """Raised on a write to a store that was opened for reading, or that is on a read-only file system."""


class StoreIOError(StoreError):
    """Raised on an input/output error of the disk.

    Earlier commits are intact; the failed write was applied either completely or not at all.
    """


class StoreFull(StoreIOError):
    """Raised when there is no space left for a write."""


class StoreDenied(StoreIOError):
    """Raised when permissions forbid reading or writing the folder."""


class StoreClosed(StoreError):
    """Raised when a closed store is used."""


class HeadMoved(StoreError):
    """Raised when a compare-and-swap finds another value than the caller expected."""


class Blockstore(Protocol):
    """A map from CIDs to blocks. `put` does not verify hashes: callers verify untrusted bytes first."""

    def get(self, cid: Cid) -> bytes:
        """Return the block.

        Raises BlockNotFound if it is absent, and BlockCorrupt if the bytes on disk do not match the CID.
        """

    def has(self, cid: Cid) -> bool:
        """Return True if the block is stored."""

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks; atomic if the store is durable."""


class Store(Blockstore, Protocol):
    """A blockstore with named metadata (the heads) and a chain index, which change atomically with the blocks."""

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        """Atomically store blocks and set metadata and index entries (None deletes); durable on return.

        `chain` are blocks to keep whatever the state: headers, messages, receipts, and fetched blocks.

        Raises HeadMoved, without any change, unless the current metadata equals `expected` (None: absent). Several
        threads may commit to one store.
        """

    def metadata(self, key: bytes) -> bytes | None:
        """Return the metadata under `key`, or None."""

    def all_metadata(self) -> dict[bytes, bytes]:
        """Return all metadata, sorted by key."""

    def index(self, key: bytes) -> bytes | None:
        """Return the chain index entry under `key`, or None. Index and metadata have separate key spaces."""

    def close(self) -> None:
        """Release the underlying resources. Closing twice is allowed."""


@runtime_checkable
class SpillStore(Store, Protocol):
    """A durable store that takes the blocks of a large state before its root exists."""

    @property
    def is_writable(self) -> bool:
        """True unless the store was opened for reading."""

    def spill(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks durably. Collections keep them until a commit deletes the metadata entry `spilled`."""


def check_expected(store: Store, expected: Mapping[bytes, bytes | None]) -> None:
    """Raise HeadMoved, naming the key and both values, unless the metadata equals `expected`."""
    for key, value in expected.items():
        found = store.metadata(key)
        if found != value:
            raise HeadMoved(f"{key.decode('ascii', 'replace')}: expected {_head(value)}, found {_head(found)}")


def path_text(way: tuple[Cid, ...]) -> str:
    """Return a description of the path to a block: the CID of its parent and of the root."""
    if not way:
        return ""
    root = "" if len(way) == 1 else f", {len(way)} links below the root {_text(way[0])}"
    return f" (linked from {_text(way[-1])}{root})"


def _text(cid: bytes) -> str:
    try:
        return show(cid)
    except ValueError:
        return f"{cid.hex()} (not a CID)"


def _head(value: bytes | None) -> str:
    return "nothing" if value is None else _text(value)


def put_object(store: Blockstore, value: Any) -> Cid:
    """Encode a value as DAG-CBOR, store it and return its CID."""
    data = encode(value)
    cid = cid_of(data)
    store.put(cid, data)
    return cid


def get_object(store: Blockstore, cid: Cid) -> Any:
    """Return the decoded value of a DAG-CBOR block. Raises BlockNotFound, and CodecError if it is not CBOR."""
    return decode(store.get(cid))
