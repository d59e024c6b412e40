"""The `Storage` interface of Filecoin's VM Interpreter document: content-addressed objects and a head pointer.

`put` and `get` work on a staging area over the store; `head` and `commit` read and move the pointer. A commit stores
the committed object and all staged objects reachable from it. The pointer is a `StorageHead`: the state of an actor on
a machine (`Hypervisor.storage`), or a name in any store (`Storage.named`). The document hashes objects with sha2-256;
the Filecoin network uses blake2b-256.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from store.blocks.memory import BufferedStore
from store.blockstore import BlockNotFound, Blockstore, Store, check_expected
from store.cid import BLAKE2B_256, DAG_CBOR, SHA2_256, Cid, CidError, cid_of, show, split_cid
from store.codec import CodecError, LinkedCid, encode

_KEY_PREFIX = b"storage/"


class StorageHead(Protocol):
    """The pointer to the current state."""

    def read(self) -> Cid | None:
        """Return the CID of the current state, or None before the first commit."""

    def check(self, old: Cid | None) -> None:
        """Raise HeadMoved if the current state is not `old`."""

    def move(self, old: Cid | None, new: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Atomically store `blocks` and move the head from `old` to `new`.

        Raises HeadMoved if the head is not `old`.
        """


@dataclass(frozen=True, slots=True)
class NamedHead:
    """A named state in a store; commits are durable, and the state is a garbage collection root."""

    store: Store
    key: bytes

    def read(self) -> Cid | None:
        head = self.store.metadata(self.key)
        return None if head is None else Cid(head)

    def check(self, old: Cid | None) -> None:
        check_expected(self.store, {self.key: old})

    def move(self, old: Cid | None, new: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store the blocks and set the name in one commit of the store."""
        self.store.commit(blocks, {self.key: bytes(new)}, expected={self.key: old})


class Storage:
    """A view of a content-addressed storage with a head pointer.

    There is one view per method invocation of an actor, and one per user of a named storage. As a context manager it
    discards uncommitted objects at its end. Two views of the same storage share the head, so a commit made by a
    re-entrant call makes the outer call's commit fail.
    """

    def __init__(self, store: Blockstore, head: StorageHead, hash: int = BLAKE2B_256) -> None:
        """Create a view of a storage over `store`; `hash` is the multihash code of the CIDs that `put` creates."""
        self._head = head
        self._hash = hash
        self._staging = BufferedStore(store)

    @classmethod
    def named(cls, store: Store, name: bytes, hash: int = SHA2_256) -> Self:
        return cls(store, NamedHead(store, _KEY_PREFIX + name), hash)

    def put(self, value: Any) -> Cid:
        """Stage an object as DAG-CBOR, and return its CID.

        The CID is a `LinkedCid`: another object may contain it, as a link. Raises CodecError if the value cannot be
        encoded, or if it contains the CID of a staged or stored object as plain bytes. Garbage collection does not
        follow plain bytes.
        """
        data = encode(value)
        for item in _byte_strings(value):
            if self._names_object(item):
                raise CodecError(
                    f"the value contains the CID {show(item)} as a byte string, which garbage collection does not "
                    "follow: use the CID that `put` or `head` returned, or `store.codec.link(cid)`"
                )
        cid = cid_of(data, DAG_CBOR, self._hash)
        self._staging.put(cid, data)
        return LinkedCid(cid)

    def get(self, cid: Cid) -> bytes:
        """Return the encoded object, staged or stored, for `store.codec.decode`. Raises BlockNotFound."""
        return self._staging.get(cid)

    def head(self) -> Cid | None:
        """Return the CID of the current state as a `LinkedCid`, or None before the first commit."""
        head = self._head.read()
        return None if head is None else LinkedCid(head)

    def commit(self, old: Cid | None, new: Cid) -> None:
        """Move the head from `old` to `new` (compare-and-swap).

        Store `new` and the staged objects reachable from it in the same write. The commit of a named storage is
        durable; that of an actor's storage becomes durable when the machine flushes.

        Raises HeadMoved if the head is not `old`, and BlockNotFound if `new` is neither staged nor stored; in both
        cases nothing changes. Several threads may commit to one storage, each through its own view.
        """
        self._head.check(old)  # fail early; `move` compares again, atomically
        if not self._staging.has(new):
            raise BlockNotFound(new)
        self._head.move(old, new, self._staging.reachable(new))

    def drop(self) -> None:
        """Discard the staged objects. Call it at the end of the method invocation."""
        self._staging.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def _names_object(self, item: bytes) -> bool:
        """Return True if the bytes are the CID of a staged or stored object. Data may look like a CID: peer IDs do."""
        try:
            split_cid(item)
        except CidError:
            return False
        return self._staging.has(Cid(item))


def _byte_strings(value: Any) -> Iterator[bytes]:
    """Yield every byte string in an encodable value, except linked CIDs."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        if not isinstance(value, LinkedCid):
            yield bytes(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _byte_strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _byte_strings(item)
