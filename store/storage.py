"""The `Storage` interface of Filecoin's VM Interpreter document: content-addressed objects and one pointer into them.

`put` and `get` work on a staging area over the store; `head` and `commit` read and move the pointer. Of what was put,
only the committed object and what it links to is kept. What the pointer is, is a `StorageHead`: the state of an actor
on a machine (`Hypervisor.storage`), or a name in a store of one's own (`Storage.named`). The document names objects by
sha2-256, the network by blake2b-256.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from store.blockstore import BlockNotFound, Blockstore, Store, check_expected
from store.buffered import BufferedStore
from store.cid import BLAKE2B_256, DAG_CBOR, SHA2_256, Cid, cid_of
from store.codec import encode

_KEY_PREFIX = b"storage/"


class StorageHead(Protocol):
    """The pointer to the current state."""

    def read(self) -> Cid | None:
        """The CID of the current state, None before the first one."""

    def check(self, old: Cid | None) -> None:
        """HeadMoved if the current state is not `old`."""

    def move(self, old: Cid | None, new: Cid, kept: Iterable[tuple[Cid, bytes]]) -> None:
        """Keep blocks and make `new` the state, in one step, if `old` still is; else HeadMoved, and nothing changed."""


@dataclass(frozen=True, slots=True)
class NamedHead:
    """The state of a name in a store: every commit is durable, and a root for the store's collections."""

    store: Store
    key: bytes

    def read(self) -> Cid | None:
        """The CID under the name."""
        head = self.store.metadata(self.key)
        return None if head is None else Cid(head)

    def check(self, old: Cid | None) -> None:
        """HeadMoved if it is not `old`."""
        check_expected(self.store, {self.key: old})

    def move(self, old: Cid | None, new: Cid, kept: Iterable[tuple[Cid, bytes]]) -> None:
        """One commit of the store."""
        self.store.commit(kept, {self.key: bytes(new)}, expected={self.key: old})


class Storage:
    """The storage of one actor, for the length of one method invocation.

    A context manager: leaving it drops what was put and not committed. Two views of the same storage share the head, so
    that a commit made by a re-entrant call makes the outer call's commit fail.
    """

    def __init__(self, store: Blockstore, head: StorageHead, hash: int = BLAKE2B_256) -> None:
        """View a storage over `store`; `hash` is the multihash code of the CIDs that `put` makes."""
        self._head = head
        self._hash = hash
        self._staging = BufferedStore(store)

    @classmethod
    def named(cls, store: Store, name: bytes, hash: int = SHA2_256) -> Self:
        """The storage `name` of a store."""
        return cls(store, NamedHead(store, _KEY_PREFIX + name), hash)

    def put(self, value: Any) -> Cid:
        """Stage an object, as DAG-CBOR; returns its CID. CodecError if the value has no DAG-CBOR form."""
        data = encode(value)
        cid = cid_of(data, DAG_CBOR, self._hash)
        self._staging.put(cid, data)
        return cid

    def get(self, cid: Cid) -> bytes:
        """The serialized object, staged or stored; BlockNotFound if it is neither."""
        return self._staging.get(cid)

    def head(self) -> Cid | None:
        """The CID of the current state, None before the first commit."""
        return self._head.read()

    def commit(self, old: Cid | None, new: Cid) -> None:
        """Make `new` the state, if `old` still is: compare and swap, in one durable step with the objects kept.

        Raises HeadMoved if the head is not `old`, BlockNotFound if `new` is neither staged nor stored; in both cases
        nothing has changed. Threads may commit to one storage, each through a view of its own.
        """
        self._head.check(old)  # before the work; the move compares again, atomically
        if not self._staging.has(new):
            raise BlockNotFound(new)
        self._head.move(old, new, self._staging.reachable(new))

    def drop(self) -> None:
        """Forget what was put and not committed: the end of the method invocation."""
        self._staging.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
