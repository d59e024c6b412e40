"""What every store offers, and how it fails.

    StoreError
    ├── BlockNotFound     no block under this CID
    ├── StoreCorrupt      stored bytes that cannot be what they claim
    │   └── NodeError     a block that is no node of the collection read (HamtError, AmtError, KamtError)
    ├── StoreFormatError  a folder of another program, format or version
    ├── StoreLocked       another process writes to the folder
    ├── StoreReadOnly     a write to a store opened for reading
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
    """No block is stored under `cid`."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        try:
            return f"block {show(self.cid)} is not in the store"
        except ValueError:
            return f"block {self.cid.hex()} is not in the store (and that is no CID)"


class StoreCorrupt(StoreError):
    """Stored bytes are not what they claim to be."""


class NodeError(StoreCorrupt):
    """A block is not a node of the collection that was to be read from it."""


class StoreFormatError(StoreError):
    """The folder belongs to another program, or to another format version of this one."""


class StoreLocked(StoreError):
    """Another process has the folder open for writing."""


class StoreReadOnly(StoreError):
    """A write to a store that was opened for reading."""


class StoreClosed(StoreError):
    """The store was closed before."""


class HeadMoved(StoreError):
    """A compare-and-swap found another head than the caller expected."""


class Blockstore(Protocol):
    """Blocks by CID. Nobody checks the bytes against the CID here: who puts foreign bytes verifies them first."""

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound if there is none."""

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
    ) -> None:
        """Store blocks, set metadata and index (None deletes) atomically; when it returns, all survive a crash."""

    def metadata(self, key: bytes) -> bytes | None:
        """The metadata under `key`, or None."""

    def index(self, key: bytes) -> bytes | None:
        """What the chain's index has under `key`, or None; its keys share nothing with those of the metadata."""

    def close(self) -> None:
        """Release the medium. Closing twice is allowed."""


def put_object(store: Blockstore, value: Any) -> Cid:
    """Encode a value as DAG-CBOR, store it, return its CID."""
    data = encode(value)
    cid = cid_of(data)
    store.put(cid, data)
    return cid


def get_object(store: Blockstore, cid: Cid) -> Any:
    """The value of a DAG-CBOR block; BlockNotFound, or CodecError if the block is not CBOR."""
    return decode(store.get(cid))
