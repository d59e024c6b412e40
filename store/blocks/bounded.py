"""An in-memory store for long-running networks, which drops the blocks of states that are not held.

Roots named in the metadata are held automatically (`store.roots`), other states by their users (`hold`, `release`). A
block that a held state links to belongs to that state and is dropped with it. All other data is stored permanently in
`store.blocks.packed_entries`: headers, messages, receipts, the index, and blocks added with `put`. Most of it is in a
temporary file, so that memory hardly grows with the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from store.blocks.held_states import HeldStates
from store.blocks.packed_entries import MAX_DIRECTORY, MAX_PACKED, PAGE, RECENT, PackedEntries
from store.blockstore import NOTHING, BlockNotFound, StoreIOError, check_expected
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, Cid
from store.roots import metadata_roots

_INDEX = b"\0"
"""Prefix of index keys; no CID begins with this byte."""


class BoundedStore:
    """A `Store` that drops states which are not held."""

    def __init__(
        self, recent: int = RECENT, page: int = PAGE, packed: int = MAX_PACKED, directory: int = MAX_DIRECTORY
    ) -> None:
        """Create an empty store; the arguments are in bytes, as in `PackedEntries`."""
        self._permanent = PackedEntries(recent, page, packed, directory)
        self._states = HeldStates(self._find_permanent)
        self._blocks = self._states.blocks
        self._metadata: dict[bytes, bytes] = {}
        self._roots: dict[bytes, list[Cid]] = {}
        """Mapping from a metadata key to the roots that its value names."""
        self._lock = Lock()
        self._failure: StoreIOError | None = None
        """The error of a commit that may have counted only a part of its references; further commits raise it."""
        self.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)  # the state of new actors, never written by a message

    def _find_permanent(self, cid: Cid) -> bytes | None:
        return self._permanent.get(cid)

    # --- blocks -----------------------------------------------------------------------------------------------

    def get(self, cid: Cid) -> bytes:
        """Return the block. Raises BlockNotFound if it is absent or was dropped."""
        data = self._blocks.get(cid)
        if data is None:
            data = self._permanent.get(cid)
            if data is None:
                raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        return cid in self._blocks or self._permanent.get(cid) is not None

    def put(self, cid: Cid, data: bytes) -> None:
        self.put_many(((cid, data),))

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        self.commit(blocks, {})

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Store blocks and set metadata and index entries (None deletes).

        Holds the roots that the new metadata names and releases those that it replaces. Raises HeadMoved unless the
        current metadata equals `expected`, and StoreIOError if the temporary file of old entries cannot be read, also
        for all later commits.
        """
        new = dict(blocks)  # consume the iterable first: if it raises, the store is unchanged
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if expected:
                check_expected(self, expected)
            replaced: list[Cid] = []
            try:
                for key, value in metadata.items():
                    if self._metadata.get(key) != value:
                        replaced += self._change(key, value, new)
                self._permanent.put_all(self._states.take(new))
            except StoreIOError as error:
                self._failure = error
                raise
            self._permanent.put_all([(_INDEX + key, value) for key, value in index.items()])
            self._states.release(replaced)
            self._states.drop()

    def _change(self, key: bytes, value: bytes | None, new: Mapping[Cid, bytes]) -> list[Cid]:
        """Set one metadata entry, and return the roots that the previous value named."""
        replaced, roots = self._roots.get(key, []), list(metadata_roots({key: value}))
        if roots:
            self._states.hold(roots, new)
        if value is None:
            del self._metadata[key]
        else:
            self._metadata[key] = value
        self._roots[key] = roots
        return replaced

    # --- states -----------------------------------------------------------------------------------------------

    def hold(self, roots: Iterable[Cid]) -> None:
        """Add one hold to each stored state; a state is dropped some time after its last hold was released."""
        with self._lock:
            self._states.hold(roots, {})

    def release(self, roots: Iterable[Cid]) -> None:
        """Remove one hold from each of these states."""
        with self._lock:
            self._states.release(roots)

    # --- metadata and index -----------------------------------------------------------------------------------

    def metadata(self, key: bytes) -> bytes | None:
        return self._metadata.get(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        return dict(sorted(self._metadata.items()))

    def index(self, key: bytes) -> bytes | None:
        return self._permanent.get(_INDEX + key)

    def close(self) -> None:
        """Do nothing; the blocks stay readable as long as the object exists."""

    def __len__(self) -> int:
        return len(self._states)
