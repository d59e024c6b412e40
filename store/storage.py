"""The `Storage` interface of Filecoin's VM Interpreter document: content-addressed objects and one pointer into them.

`put` and `get` work on a staging area over the store; `head` and `commit` read and move the pointer. Of what was put,
only the committed object and what it links to is kept. The document names objects by sha2-256, which is the default
here; the network uses blake2b-256 (`hash=BLAKE2B_256`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from store.blockstore import BlockNotFound, Store, check_expected
from store.buffered import BufferedStore
from store.cid import DAG_CBOR, SHA2_256, Cid, cid_of
from store.codec import encode

_KEY_PREFIX = b"storage/"


class Storage:
    """The storage of one actor, by name, for the length of one method invocation.

    A context manager: leaving it drops what was put and not committed. Two views of the same name share the head, so
    that a commit made by a re-entrant call makes the outer call's commit fail.
    """

    def __init__(self, store: Store, name: bytes, hash: int = SHA2_256) -> None:
        """View the storage `name` of `store`; `hash` is the multihash code of the CIDs that `put` makes."""
        self._store = store
        self._key = _KEY_PREFIX + name
        self._hash = hash
        self._staging = BufferedStore(store)

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
        head = self._store.metadata(self._key)
        return None if head is None else Cid(head)

    def commit(self, old: Cid | None, new: Cid) -> None:
        """Make `new` the state, if `old` still is: compare and swap, in one durable step with the objects kept.

        Raises HeadMoved if the head is not `old`, BlockNotFound if `new` is neither staged nor stored; in both cases
        nothing has changed. Threads may commit to one storage, each through a view of its own.
        """
        check_expected(self._store, {self._key: old})  # before the work; the commit compares again, atomically
        if not self._staging.has(new):
            raise BlockNotFound(new)
        kept = self._staging.reachable(new)
        self._store.commit(kept, {self._key: bytes(new)}, expected={self._key: old})

    def drop(self) -> None:
        """Forget what was put and not committed: the end of the method invocation."""
        self._staging.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
