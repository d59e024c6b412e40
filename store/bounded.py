"""A store in memory for a network that lives long: states while they are held, everything else for ever, but packed.

The metadata's roots are held by themselves (`store.roots`), other states by those who name them (`hold`, `release`).
What a commit brings beside the states that it names (headers, messages, receipts) stays, with the index, as
`store.packed_entries` keeps it; so does a block that comes otherwise (`put`). But a block to which a state links
already when it comes is that state's, and goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from store.blockstore import NOTHING, BlockNotFound, check_expected
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, Cid
from store.held_states import HeldStates
from store.packed_entries import PAGE, RECENT, PackedEntries
from store.roots import named_roots

_INDEX = b"\0"
"""Stands before the keys of the index; no CID begins so."""


class BoundedStore:
    """A `Store` that forgets states which nothing holds."""

    def __init__(self, recent: int = RECENT, page: int = PAGE) -> None:
        """`recent` and `page`: bytes, as in `PackedEntries`."""
        self._kept = PackedEntries(recent, page)
        self._states = HeldStates(self._find_kept)
        self._blocks = self._states.blocks
        self._metadata: dict[bytes, bytes] = {}
        self._roots: dict[bytes, list[Cid]] = {}
        """What each entry of the metadata names."""
        self._lock = Lock()
        self.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)  # the state of every new actor, which no message writes

    def _find_kept(self, cid: Cid) -> bytes | None:
        return self._kept.get(cid)

    # --- blocks -----------------------------------------------------------------------------------------------

    def get(self, cid: Cid) -> bytes:
        """The block; BlockNotFound if there is none (any more)."""
        data = self._blocks.get(cid)
        if data is None:
            data = self._kept.get(cid)
            if data is None:
                raise BlockNotFound(cid)
        return data

    def has(self, cid: Cid) -> bool:
        """Whether the block is stored."""
        return cid in self._blocks or self._kept.get(cid) is not None

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block."""
        self.put_many(((cid, data),))

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Store blocks."""
        self.commit(blocks, {})

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        """Store blocks, set metadata and index (None deletes); HeadMoved where the metadata is not as `expected`.

        The roots that the metadata names are held instead of those that it named.
        """
        new = dict(blocks)  # an iterable that raises half-way leaves the store as it was
        with self._lock:
            check_expected(self, expected)
            gone: list[Cid] = []
            for key, value in metadata.items():
                if self._metadata.get(key) != value:
                    gone += self._change(key, value, new)
            self._kept.put_all(self._states.take(new))
            self._kept.put_all([(_INDEX + key, value) for key, value in index.items()])
            self._states.release(gone)
            self._states.drop()

    def _change(self, key: bytes, value: bytes | None, new: Mapping[Cid, bytes]) -> list[Cid]:
        """Set the metadata under a key; the roots that it named."""
        gone, roots = self._roots.get(key, []), list(named_roots({key: value}))
        self._states.hold(roots, new)
        if value is None:
            del self._metadata[key]
        else:
            self._metadata[key] = value
        self._roots[key] = roots
        return gone

    # --- states -----------------------------------------------------------------------------------------------

    def hold(self, roots: Iterable[Cid]) -> None:
        """Keep states that are here, once more; they go some time after they were released as often."""
        with self._lock:
            self._states.hold(roots, {})

    def release(self, roots: Iterable[Cid]) -> None:
        """Hold states once less than until now."""
        with self._lock:
            self._states.release(roots)

    # --- metadata and index -----------------------------------------------------------------------------------

    def metadata(self, key: bytes) -> bytes | None:
        """The metadata under `key`, or None."""
        return self._metadata.get(key)

    def all_metadata(self) -> dict[bytes, bytes]:
        """All metadata, in the order of their keys."""
        return dict(sorted(self._metadata.items()))

    def index(self, key: bytes) -> bytes | None:
        """What the index has under `key`, or None."""
        return self._kept.get(_INDEX + key)

    def close(self) -> None:
        """Nothing to release: the blocks stay readable as long as the object lives."""

    def __len__(self) -> int:
        return len(self._states)
