"""Blocks fetched from a remote: verified, stored, and fetched once."""

from pathlib import Path
from typing import Any

import pytest

from store.blocks.memory import MemoryStore
from store.blocks.overlay import RemoteHashMismatch, RemoteStore, RemoteUnavailable
from store.blockstore import BlockCorrupt, BlockNotFound, StoreIOError
from store.cid import RAW, Cid, cid_of
from store.rocks.database import RocksStore

HERE, THERE, NOWHERE = b"here", b"there", b"nowhere"


def name(data: bytes) -> Cid:
    return cid_of(data, RAW)


class Elsewhere:
    """A remote with blocks that records the requests."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = {name(data): data for data in blocks}
        self.asked: list[Cid] = []
        self.closed = False

    def block(self, cid: Cid) -> bytes | None:
        self.asked.append(cid)
        return self.blocks.get(cid)

    def close(self) -> None:
        self.closed = True


class Nobody(Elsewhere):
    """A remote that does not respond."""

    def block(self, cid: Cid) -> bytes | None:
        raise RemoteUnavailable("nobody answers")


def test_local_blocks_are_not_requested_and_remote_ones_once() -> None:
    elsewhere, base = Elsewhere(THERE), MemoryStore()
    base.put(name(HERE), HERE)
    store = RemoteStore(base, elsewhere)
    assert [store.get(name(HERE)), store.get(name(THERE)), store.get(name(THERE))] == [HERE, THERE, THERE]
    assert elsewhere.asked == [name(THERE)]
    assert store.fetches == 1
    assert store.has(name(HERE))
    assert store.has(name(THERE))


def test_a_block_that_is_nowhere_is_not_found() -> None:
    store = RemoteStore(MemoryStore(), Elsewhere())
    assert not store.has(name(NOWHERE))
    with pytest.raises(BlockNotFound):
        store.get(name(NOWHERE))


def test_remote_block_with_wrong_cid_raises_and_is_not_stored() -> None:
    elsewhere, base = Elsewhere(), MemoryStore()
    elsewhere.blocks[name(THERE)] = b"their" + THERE
    store = RemoteStore(base, elsewhere)
    with pytest.raises(RemoteHashMismatch, match=r"the remote returned bytes for block bafk\w+") as lied:
        store.get(name(THERE))
    assert isinstance(lied.value, BlockCorrupt)
    store.close()
    assert len(base) == 0


def test_commit_persists_fetched_blocks_and_close_the_rest(tmp_path: Path) -> None:
    elsewhere = Elsewhere(THERE, NOWHERE)
    store = RemoteStore(RocksStore.open(tmp_path), elsewhere)
    store.get(name(THERE))
    store.commit([(name(HERE), HERE)], {b"head": name(HERE)}, {b"height": b"1"})
    store.get(name(NOWHERE))
    store.close()
    assert elsewhere.closed
    again = RemoteStore(RocksStore.open(tmp_path), Nobody())
    assert [again.get(name(data)) for data in (HERE, THERE, NOWHERE)] == [HERE, THERE, NOWHERE]
    assert again.metadata(b"head") == name(HERE)
    assert again.index(b"height") == b"1"
    with pytest.raises(StoreIOError, match="nobody answers"):
        again.get(name(b"else"))
    again.close()


def test_a_block_is_written_once() -> None:
    class Noting(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.written: list[Cid] = []

        def commit(self, blocks: Any, *more: Any) -> None:
            kept = list(blocks)
            self.written += [cid for cid, _ in kept]
            super().commit(kept, *more)

    base = Noting()
    store = RemoteStore(base, Elsewhere(THERE))
    store.get(name(THERE))
    store.commit([(name(HERE), HERE)], {})
    store.commit([], {})
    assert base.written == [name(THERE), name(HERE)]
    assert store.get(name(THERE)) == THERE


def test_many_fetched_blocks_do_not_wait_in_memory_for_a_commit() -> None:
    blocks = [b"%d" % number for number in range(1_001)]
    base = MemoryStore()
    store = RemoteStore(base, Elsewhere(*blocks))
    for data in blocks:
        store.get(name(data))
    assert len(base) == 1_000
