"""An in-memory store for long-running networks: it drops the blocks of states that are not held.

Roots named in the metadata are held automatically (`store.roots`), other states by their users (`hold`, `release`).
Blocks committed with such a root belong to states, and are dropped when no held state links to them. A collection,
which marks what held states reach, runs when the blocks have doubled. It does not follow links to absent blocks (of a
state that is fetched block by block).

All other data is stored permanently in pages: headers, messages, receipts, the index, blocks that a fork fetched, and
blocks added without a root. A chain stores most data of a block several times: messages in their block and in the
index, CIDs as keys and as links. Entries added together share a page, so that compression removes the repetitions;
recent entries are not compressed yet. A directory names the page of a key, and recently read pages are cached. Once the
compressed pages reach a size limit, new pages go to an unnamed temporary file, which the system deletes at the end of
the process or of the object, or stay in memory if it cannot be written. So memory hardly grows with the chain. When the
directory reaches `MAX_DIRECTORY` bytes, it moves to that file as a segment. A lookup of an old or absent key reads one
bucket of each segment, newest first, which takes about 1 us each.

Readers need no lock: an entry is in a page before it leaves the recent entries, and records are in a segment before the
buckets are replaced. Writers need one.
"""

from __future__ import annotations

import marshal
import os
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from tempfile import mkstemp
from threading import Lock
from typing import Final

from store.blockstore import NOTHING, BlockNotFound, StoreIOError, check_expected
from store.cid import CBOR_CID_PREFIX, EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, RAW_CID_PREFIX, Cid
from store.codec import CodecError
from store.links import all_links, links_of, state_codec, targets
from store.roots import roots_of_entry

_LENGTH: Final = 4
"""Length in bytes of a page's length in the file."""


class SpilledPages:
    """Append-only pages in a file of the folder for temporary files. Readers need no lock, writers need one."""

    def __init__(self) -> None:
        """Create the file. Raises OSError."""
        self._descriptor, name = mkstemp(prefix="hypervisor-pages-")
        weakref.finalize(self, os.close, self._descriptor)
        os.unlink(name)
        self._owner, self._end = os.getpid(), 0

    def add(self, page: bytes) -> int | None:
        """Append a page and return its place.

        Returns None on a full disk, and in a forked process, whose parent appends to the same file.
        """
        if os.getpid() != self._owner:
            return None
        data, place = len(page).to_bytes(_LENGTH, "big") + page, self._end
        try:
            if os.pwrite(self._descriptor, data, place) < len(data):
                return None
        except OSError:
            return None
        self._end += len(data)
        return place

    def read(self, place: int) -> bytes:
        """Return the page at a place. Raises StoreIOError."""
        length = int.from_bytes(self._read(place, _LENGTH), "big")
        return self._read(place + _LENGTH, length)

    def read_part(self, place: int, start: int, end: int) -> bytes:
        """Return the bytes of a page from `start` to `end`. Raises StoreIOError."""
        return self._read(place + _LENGTH + start, end - start)

    def _read(self, first: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, first)
        except OSError as error:
            raise StoreIOError(f"the temporary file of old blocks cannot be read: {error}; restart the node") from error
        if len(data) < length:
            raise StoreIOError(f"the temporary file of old blocks ends before byte {first + length}; restart the node")
        return data


RECENT: Final = 1 << 20
"""Default size in bytes of the uncompressed recent entries (about 700 small blocks of a chain)."""
PAGE: Final = 32 << 10
"""Default size in bytes of a page before compression, the window size of zlib."""

MAX_PACKED: Final = 16 << 20
"""Default maximum size in bytes of compressed pages in memory (about 50,000 transfers in blocks of 95)."""
MAX_DIRECTORY: Final = 4 << 20
"""Default size in bytes of the directory's records at which they move to the temporary file (200,000 transfers)."""
OPEN_PAGES: Final = 64
"""Number of decompressed pages to cache (4 MB)."""
_LEVEL: Final = 1
"""Fastest compression level; higher ones make pages two percent smaller and take twice the time."""
_FORMAT: Final = 2
"""Version of `marshal` without references between objects, which take time."""
_NAMES: Final = 9
"""Maximum length of keys whose entries are never compressed, since they are read frequently."""
_BUCKETS: Final = 4096
_MARK: Final = 3
_RECORD: Final = 6
"""Length in bytes of a directory record: a hash of the key and a page number."""
_ABSENT: Final = b"absent"
"""Marker for an absent entry, compared by identity."""


class _Segment:
    """A part of the directory that gets no more records, stored as one page."""

    def __init__(self, buckets: list[bytearray | None], store_page: Callable[[bytes], bytes | int]) -> None:
        self._ends = array("I", accumulate(0 if bucket is None else len(bucket) for bucket in buckets))
        self._page = store_page(b"".join(bucket for bucket in buckets if bucket is not None))

    def bucket(self, position: int, spilled: SpilledPages | None) -> bytes:
        """Return the records of a bucket. Raises StoreIOError."""
        start, end = self._ends[position - 1] if position else 0, self._ends[position]
        if isinstance(self._page, bytes):
            return self._page[start:end]
        assert spilled is not None
        return spilled.read_part(self._page, start, end)


class PackedEntries:
    """A map from bytes to bytes. Replacing an entry does not free its space in a page.

    It has at most 2^24 pages, which are 512 GB of entries at the default size.
    """

    def __init__(
        self, recent: int = RECENT, page: int = PAGE, packed: int = MAX_PACKED, directory: int = MAX_DIRECTORY
    ) -> None:
        """Keep `recent` bytes of the newest entries uncompressed, and older ones in pages of `page` bytes.

        Compressed pages beyond `packed` bytes go to a temporary file. The directory goes there in segments of
        `directory` bytes, independent of `packed`.
        """
        self._max_recent, self._page, self._packed_left, self._max_directory = recent, page, packed, directory
        self._names: dict[bytes, bytes | None] = {}
        self._recent: dict[bytes, bytes | None] = {}
        self._size = 0
        self._pages: list[bytes | int] = []
        """Compressed pages, or their places in the temporary file."""
        self._spilled: SpilledPages | None = None
        self._large: set[int] = set()
        """Numbers of pages too large to cache, because of a single large entry."""
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._directory = 0
        """Size in bytes of the buckets."""
        self._segments: tuple[_Segment, ...] = ()
        self._open_page = lru_cache(OPEN_PAGES)(self._read_page)

    def get(self, key: bytes) -> bytes | None:
        if len(key) <= _NAMES:
            return self._names.get(key)
        value = self._recent.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        return self._read_packed(key) if self._pages else None

    def put_all(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set the values of keys; None deletes."""
        recent, size = self._recent, self._size
        for key, value in entries:
            if len(key) <= _NAMES:
                self._names[key] = value
                continue
            size += len(value or b"")
            if key in recent:
                size -= len(recent[key] or b"")
            else:
                size += len(key)
            recent[key] = value  # replaced in place, so that a concurrent reader finds one of the two values
        self._size = size
        while self._size > self._max_recent + self._page:
            self._pack()

    def _pack(self) -> None:
        """Move the oldest recent entries into a new page."""
        oldest: list[tuple[bytes, bytes | None]] = []
        size = 0
        for key, value in self._recent.items():
            oldest.append((key, value))
            size += len(key) + len(value or b"")
            if size >= self._page:
                break
        number = len(self._pages)
        if size > 2 * self._page:
            self._large.add(number)
        self._pages.append(self._store_page(zlib.compress(marshal.dumps(oldest, _FORMAT), _LEVEL)))
        for key, _ in oldest:
            position, mark = _bucket_of(key)
            bucket = self._buckets[position]
            if bucket is None:
                bucket = self._buckets[position] = bytearray()
            bucket += mark + number.to_bytes(_RECORD - _MARK, "big")
        self._directory += _RECORD * len(oldest)
        if self._directory >= self._max_directory:
            self._segments = (*self._segments, _Segment(self._buckets, self._spill))
            self._buckets, self._directory = [None] * _BUCKETS, 0
        for key, _ in oldest:
            del self._recent[key]
        self._size -= size

    def _store_page(self, page: bytes) -> bytes | int:
        """Return a compressed page, or its place in the temporary file."""
        if self._packed_left >= len(page):
            self._packed_left -= len(page)
            return page
        return self._spill(page)

    def _spill(self, page: bytes) -> bytes | int:
        """Return the place of a page in the temporary file, or the page if it cannot be written."""
        if self._spilled is None:
            try:
                self._spilled = SpilledPages()
            except OSError:  # no folder for temporary files
                return page
        place = self._spilled.add(page)
        return page if place is None else place

    def _read_packed(self, key: bytes) -> bytes | None:
        """Return the value of a key from the newest page that contains it."""
        position, mark = _bucket_of(key)
        bucket = self._buckets[position]
        if bucket is not None:
            value = self._read_from(bytes(bucket), mark, key)  # copied, since a writer may append to it
            if value is not _ABSENT:
                return value
        for segment in reversed(self._segments):
            value = self._read_from(segment.bucket(position, self._spilled), mark, key)
            if value is not _ABSENT:
                return value
        return None

    def _read_from(self, records: bytes, mark: bytes, key: bytes) -> bytes | None:
        """Return the value of a key from the newest page that these records name, or `_ABSENT`."""
        at = records.rfind(mark)
        while at >= 0:
            if at % _RECORD == 0:
                number = int.from_bytes(records[at + _MARK : at + _RECORD], "big")
                page = self._read_page(number) if number in self._large else self._open_page(number)
                if key in page:
                    return page[key]
            at = records.rfind(mark, 0, at + _MARK - 1)
        return _ABSENT

    def _read_page(self, number: int) -> dict[bytes, bytes | None]:
        page = self._pages[number]
        if isinstance(page, int):
            assert self._spilled is not None
            page = self._spilled.read(page)
        return dict(marshal.loads(zlib.decompress(page)))  # noqa: S302  # written by this process


def _bucket_of(key: bytes) -> tuple[int, bytes]:
    """Return the directory bucket of a key and its hash there."""
    number = hash(key)
    return number % _BUCKETS, (number // _BUCKETS % (1 << 8 * _MARK)).to_bytes(_MARK, "big")


_MIN_STEPS: Final = 500
"""Minimum number of links to follow in one call of `collect` (less than a millisecond)."""
_STEPS_PER_BLOCK: Final = 40
_MIN_ADDED: Final = 10_000
"""Minimum number of blocks between two collections (a few MB)."""
_SWEPT_PER_STEP: Final = 8
"""Number of blocks that a sweep looks up in the time in which one is marked."""


class HeldStates:
    """Blocks of states by CID. `find` looks up blocks in another store.

    A collection begins when the blocks have doubled. It marks the blocks of held states, and then removes the others, a
    few at each call of `collect`. States that are held meanwhile are marked first.
    """

    def __init__(self, find: Callable[[Cid], bytes | None]) -> None:
        self._find = find
        self.blocks: dict[Cid, bytes] = {}
        """Stored blocks, for reading."""
        self._holds: dict[Cid, int] = {}
        """Number of holds of each root."""
        self._added = self._recent = 0
        """Number of blocks added since the last collection, and since the last call of `collect`."""
        self._marked: set[Cid] | None = None
        """Blocks that the running collection has reached."""
        self._absent: set[Cid] = set()
        """Links that it could not follow, because their blocks are nowhere."""
        self._todo: list[Cid] = []
        """Blocks that it has still to follow."""
        self._unswept: list[Cid] | None = None
        """Blocks that it has still to remove unless they are marked, once all are."""

    def __len__(self) -> int:
        return len(self.blocks)

    def add(self, new: Mapping[Cid, bytes]) -> None:
        """Add blocks, to be held with roots that link to them."""
        before = len(self.blocks)
        self.blocks.update(new)
        self._recent += len(self.blocks) - before
        self.found(new)

    def found(self, cids: Iterable[Cid]) -> None:
        """Let the running collection follow links to blocks that were absent until now."""
        arrived = self._absent.intersection(cids)
        self._absent -= arrived
        self._todo += arrived

    def hold(self, roots: Iterable[Cid]) -> None:
        """Hold all blocks reachable from `roots`."""
        held = _blocks_of(roots)
        for root in held:
            self._holds[root] = self._holds.get(root, 0) + 1
        if self._marked is not None:
            self._todo += held

    def release(self, roots: Iterable[Cid]) -> None:
        """Release roots once. Blocks that become unreachable are removed later, by `collect`."""
        for root in _blocks_of(roots):
            left = self._holds.pop(root) - 1
            if left:
                self._holds[root] = left

    def collect(self) -> None:
        """Begin a collection if many blocks were added since the last one, or continue it.

        The work is proportional to the blocks added since the last call. Raises the errors of `find`, after which the
        next call continues.
        """
        self._added += self._recent
        left, self._recent = _MIN_STEPS + _STEPS_PER_BLOCK * self._recent, 0
        if self._marked is None:
            if self._added < max(_MIN_ADDED, len(self.blocks) // 2):
                return
            self._added, self._marked, self._todo = 0, set(), list(self._holds)
        marked, absent, todo = self._marked, self._absent, self._todo
        while todo and left > 0:
            cid = todo[-1]
            if cid in marked or cid in absent:
                todo.pop()
                continue
            data = self.blocks.get(cid)
            if data is None:
                data = self._find(cid)
            todo.pop()
            left -= 1
            if data is None:
                absent.add(cid)
                continue
            marked.add(cid)
            links = _links(cid, data)
            left -= len(links)
            todo += links
        if todo or left <= 0:
            return
        if self._unswept is None:
            self._unswept = list(self.blocks)
        unswept = self._unswept
        for _ in range(min(_SWEPT_PER_STEP * left, len(unswept))):
            cid = unswept.pop()
            if cid not in marked:
                del self.blocks[cid]
        if not unswept:
            self._marked = self._unswept = None
            absent.clear()


def _blocks_of(roots: Iterable[Cid]) -> list[Cid]:
    """Return the blocks that roots stand for (see `targets`)."""
    found: list[Cid] = []
    for root in roots:
        found += (root,) if root.startswith(CBOR_CID_PREFIX) else targets(root)
    return found


def _links(cid: Cid, data: bytes) -> list[Cid]:
    """Return the links of a state's block, with repetitions and possibly others (`all_links`).

    A malformed block, which a fork's node may have sent, has no links.
    """
    if not cid.startswith(CBOR_CID_PREFIX):
        return [] if cid.startswith(RAW_CID_PREFIX) else links_of(data, state_codec(cid))
    try:
        return all_links(data)
    except CodecError:
        return []


_INDEX = b"\0"
"""Prefix of index keys; no CID begins with this byte."""


class BoundedStore:
    """A `Store` that drops states which are not held."""

    def __init__(
        self, recent: int = RECENT, page: int = PAGE, packed: int = MAX_PACKED, directory: int = MAX_DIRECTORY
    ) -> None:
        """Create an empty store; the arguments are in bytes, as in `PackedEntries`."""
        self._permanent = PackedEntries(recent, page, packed, directory)
        self._states = HeldStates(self._permanent.get)
        self._blocks = self._states.blocks
        self._metadata: dict[bytes, bytes] = {}
        self._roots: dict[bytes, list[Cid]] = {}
        """Mapping from a metadata key to the roots that its value names."""
        self._lock = Lock()
        self.put(EMPTY_ARRAY_CID, EMPTY_ARRAY_BLOCK)  # the state of new actors, never written by a message

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
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        """Store blocks and set metadata and index entries (None deletes).

        Holds the roots that the new metadata names, and releases those that it replaces. Blocks that come with such
        roots are dropped with their states, others and `chain` never. Raises, without any change, HeadMoved unless the
        current metadata equals `expected`, and StoreIOError if the temporary file of old entries cannot be read.
        """
        new, beside = dict(blocks), dict(chain)  # consumed first: if one raises, the store is unchanged
        with self._lock:
            if expected:
                check_expected(self, expected)
            changed = dict[bytes, tuple[bytes | None, list[Cid]]]()
            held, replaced = list[Cid](), list[Cid]()
            for key, value in metadata.items():
                if self._metadata.get(key) != value:
                    roots = [] if value is None else roots_of_entry(key, value)
                    changed[key] = value, roots
                    held += roots
                    replaced += self._roots.get(key, ())
            if held:
                self._states.add(new)
            else:
                beside |= new
            self._states.hold(held)
            try:
                self._states.collect()  # with the new state, which may link to blocks of dropped ones
            except BaseException:
                self._states.release(held)
                raise
            self._states.found(beside)
            self._permanent.put_all((*beside.items(), *[(_INDEX + key, value) for key, value in index.items()]))
            for key, (value, roots) in changed.items():
                self._roots[key] = roots
                if value is None:
                    del self._metadata[key]
                else:
                    self._metadata[key] = value
            self._states.release(replaced)

    # --- states -----------------------------------------------------------------------------------------------

    def hold(self, roots: Iterable[Cid]) -> None:
        """Add one hold to each stored state; a state is dropped some time after its last hold was released."""
        with self._lock:
            self._states.hold(roots)

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
