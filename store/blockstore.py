"""What every store offers, and how it fails.

    StoreError
    ├── BlockNotFound     no block under this CID
    ├── StoreCorrupt      stored bytes that cannot be what they claim
    │   ├── BlockCorrupt  a block without the hash of its CID
    │   └── TreeNodeError a block that is no node of the collection read (HamtError, AmtError, KamtError)
    ├── StoreFormatError  a folder of another program, format or version
    ├── StoreLocked       another process writes to the folder
    ├── StoreReadOnly     a write where only reading is possible: a store opened for reading, a read-only disk
    ├── StoreIOError      the medium failed
    │   ├── StoreFull     no room: the disk, a quota or a limit on file sizes
    │   └── StoreDenied   the permissions of folder or files
    ├── StoreClosed       use after close
    ├── HeadMoved         compare-and-swap on a head that is no longer the expected one
    └── CarError          a CAR file that cannot be trusted

(`CidError` and `CodecError`, which speak of bytes and not of stores, are ValueErrors in `store.cid` and `store.codec`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from store.cid import Cid, cid_of, show
from store.codec import decode, encode

NOTHING: Final[Mapping[bytes, bytes | None]] = MappingProxyType({})
"""No change."""


class StoreError(Exception):
    """The root of the tree above."""


class BlockNotFound(StoreError):
    """No block is stored under `cid`; `way` are the blocks that led to it, from a root on, where that is known."""

    def __init__(self, cid: Cid, way: tuple[Cid, ...] = ()) -> None:
        super().__init__(cid, way)
        self.cid = cid
        self.way = way

    def __str__(self) -> str:
        return f"block {_text(self.cid)} is not in the store{way_text(self.way)}"


class StoreCorrupt(StoreError):
    """Stored bytes are not what they claim to be."""


class BlockCorrupt(StoreCorrupt):
    """The bytes stored under `cid` do not have its hash, or it has a hash function that is unknown here."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        return f"block {_text(self.cid)} is damaged: what is stored under this CID does not have its hash"


class TreeNodeError(StoreCorrupt):
    """A block is not a node of the collection that was to be read from it."""


class StoreFormatError(StoreError):
    """The folder belongs to another program, or to another format version of this one."""


class StoreLocked(StoreError):
    """Another process has the folder open for writing."""


class StoreReadOnly(StoreError):
    """A write to a store that was opened for reading, or that lies on a read-only disk."""


class StoreIOError(StoreError):
    """The medium failed. What was committed before stays; what the failed write was to store is there or is not."""


class StoreFull(StoreIOError):
    """There is no room for what was to be written."""


class StoreDenied(StoreIOError):
    """Permissions forbid to read or write the folder."""


class StoreClosed(StoreError):
    """The store was closed before."""


class HeadMoved(StoreError):
    """A compare-and-swap found another head than the caller expected."""


class Blockstore(Protocol):
    """Blocks by CID. `put` checks nothing: who puts foreign bytes verifies them first."""

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound if there is none, BlockCorrupt if what a durable medium holds is not that block."""

    def has(self, cid: Cid) -> bool:
        """Whether the block is stored."""

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks, all or none where the medium is durable."""


class Store(Blockstore, Protocol):
    """A blockstore with named metadata (the heads) and a chain's index, all changed together in one durable step."""

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Store blocks, set metadata and index (None deletes) atomically; when it returns, all survive a crash.

        Only if the metadata is what `expected` says of it (None: absent): else HeadMoved, and nothing has changed.
        Several threads may commit to one store.
        """

    def metadata(self, key: bytes) -> bytes | None:
        """The metadata under `key`, or None."""

    def all_metadata(self) -> dict[bytes, bytes]:
        """All metadata, in the order of their keys."""

    def index(self, key: bytes) -> bytes | None:
        """What the chain's index has under `key`, or None; its keys share nothing with those of the metadata."""

    def close(self) -> None:
        """Release the medium. Closing twice is allowed."""


def check_expected(store: Store, expected: Mapping[bytes, bytes | None]) -> None:
    """The compare of a compare-and-swap; HeadMoved, naming the key and both values."""
    for key, value in expected.items():
        found = store.metadata(key)
        if found != value:
            raise HeadMoved(f"{key.decode('ascii', 'replace')}: expected {_head(value)}, found {_head(found)}")


def way_text(way: tuple[Cid, ...]) -> str:
    """How a block was reached: the one that links to it, and the root."""
    if not way:
        return ""
    root = "" if len(way) == 1 else f", {len(way)} links below the root {_text(way[0])}"
    return f" (linked from {_text(way[-1])}{root})"


def _text(cid: bytes) -> str:
    try:
        return show(cid)
    except ValueError:
        return f"{cid.hex()} (which is not a CID)"


def _head(value: bytes | None) -> str:
    return "nothing" if value is None else _text(value)


def put_object(store: Blockstore, value: Any) -> Cid:
    """Encode a value as DAG-CBOR, store it, return its CID."""
    data = encode(value)
    cid = cid_of(data)
    store.put(cid, data)
    return cid


def get_object(store: Blockstore, cid: Cid) -> Any:
    """The value of a DAG-CBOR block; BlockNotFound, or CodecError if the block is not CBOR."""
    return decode(store.get(cid))
