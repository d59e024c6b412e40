"""Packed entries: the last value put is found, recent or packed."""

import gc
import os
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks import spilled_pages
from store.blocks.packed_entries import PackedEntries
from store.blockstore import StoreIOError
from tests.conftest import samples

KEYS = st.sampled_from([b"name", *(b"a key of one of many %d" % number for number in range(40))])
VALUES = st.none() | st.binary(max_size=60)


@given(st.lists(st.tuples(KEYS, VALUES)))
@settings(max_examples=samples(300))
def test_packed_entries_match_dict(changes: list[tuple[bytes, bytes | None]]) -> None:
    entries, plain = PackedEntries(recent=100, page=100, directory=60), dict[bytes, bytes | None]()
    for key, value in changes:
        entries.put_all([(key, value)])
        plain[key] = value
        assert entries.get(key) == value
    assert all(entries.get(key) == value for key, value in plain.items())
    assert entries.get(b"a key of nothing at all") is None


def test_entries_of_one_shape_take_a_fraction_of_their_bytes() -> None:
    """The keys are half of the bytes and incompressible, so little of the values may remain."""
    entries = PackedEntries(recent=10_000, page=10_000)
    for number in range(2_000):
        entries.put_all([(number.to_bytes(32, "big"), bytes(60) + number.to_bytes(4, "big"))])
    assert sum(len(page) for page in entries._pages if isinstance(page, bytes)) < 2_000 * 20
    assert entries._spilled is None
    assert entries.get((5).to_bytes(32, "big")) == bytes(60) + (5).to_bytes(4, "big")


def test_entry_larger_than_page_gets_own_page() -> None:
    entries = PackedEntries(recent=10, page=10)
    for number in range(5):
        entries.put_all([(b"long key %d" % number, bytes([number]) * 1_000)])
    assert [entries.get(b"long key %d" % number) for number in range(5)] == [bytes([each]) * 1_000 for each in range(5)]


@pytest.mark.sampled
def test_a_reader_finds_each_entry_while_a_writer_packs_them() -> None:
    entries, missing = PackedEntries(recent=1_000, page=500, directory=3_000), list[bytes]()
    written, ended = [b"entry number %d" % 0], threading.Event()
    entries.put_all([(written[0], written[0])])

    def read() -> None:
        at = 0
        while not ended.is_set():
            key = written[-1 - at % len(written)]
            if entries.get(key) != key:
                missing.append(key)
            at += 7

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, samples(20_000)):
            key = b"entry number %d" % number
            entries.put_all([(key, key)])
            written.append(key)
            entries.put_all([(key, key)])
    finally:
        ended.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert not missing


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"entry number %06d" % number: number.to_bytes(32, "little") * 3 for number in range(count)}


def test_pages_above_the_limit_of_memory_are_found_in_a_file() -> None:
    entries, plain = PackedEntries(recent=1_000, page=500, packed=2_000, directory=2_000), numbered(2_000)
    for entry in plain.items():
        entries.put_all([entry])
    assert sum(len(page) for page in entries._pages if isinstance(page, bytes)) <= 2_000
    assert sum(isinstance(page, int) for page in entries._pages) > 100
    assert len(entries._segments) == 5
    assert sum(len(bucket or b"") for bucket in entries._buckets) <= 2_000
    assert {key: entries.get(key) for key in plain} == plain
    assert entries.get(b"a key of nothing at all") is None


@pytest.mark.parametrize("written", [OSError(28, "No space left on device"), 7], ids=["full disk", "short write"])
def test_a_page_that_cannot_be_written_stays_in_memory(written: int | OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        if isinstance(written, OSError):
            raise written
        return written

    entries, plain = PackedEntries(recent=1_000, page=500, packed=0, directory=300), numbered(500)
    entries.put_all([*plain.items()][:100])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", write)
        entries.put_all([*plain.items()][100:300])
    entries.put_all([*plain.items()][300:])
    assert {type(page) for page in entries._pages} == {bytes, int}
    assert {key: entries.get(key) for key in plain} == plain


def test_no_folder_for_temporary_files_keeps_pages_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(spilled_pages, "mkstemp", refuse)
    entries, plain = PackedEntries(recent=1_000, page=500, packed=0, directory=300), numbered(200)
    entries.put_all(plain.items())
    assert {key: entries.get(key) for key in plain} == plain


def test_a_forked_process_does_not_write_to_the_file_of_its_parent() -> None:
    entries, plain = PackedEntries(recent=0, page=500, packed=0, directory=900), numbered(600)
    entries.put_all([*plain.items()][:200])
    waiting, wake = os.pipe()
    child = os.fork()
    if not child:
        os.read(waiting, 1)  # until the parent has appended
        entries.put_all((key, b"another value" * 8) for key in [*plain][200:400])
        os._exit(0 if entries.get([*plain][300]) == b"another value" * 8 and entries.get([*plain][5]) else 1)
    entries.put_all([*plain.items()][200:])
    os.write(wake, b"!")
    _, status = os.waitpid(child, 0)
    os.close(waiting)
    os.close(wake)
    assert os.waitstatus_to_exitcode(status) == 0
    assert {key: entries.get(key) for key in plain} == plain


@pytest.mark.parametrize("directory", [300, 100_000], ids=["directory", "pages"])
def test_a_file_that_was_cut_is_reported(directory: int) -> None:
    entries, plain = PackedEntries(recent=0, page=500, packed=0, directory=directory), numbered(200)
    entries.put_all(plain.items())
    assert entries._spilled is not None
    os.ftruncate(entries._spilled._descriptor, 1_000)
    entries._open_page.cache_clear()
    with pytest.raises(StoreIOError, match=r"the temporary file of old blocks ends before byte \d+; restart the node"):
        assert entries.get([*plain][100])


@pytest.mark.slow
def test_the_file_is_closed_with_the_entries() -> None:
    entries = PackedEntries(recent=0, page=500, packed=0)
    entries.put_all(numbered(50).items())
    assert entries._spilled is not None
    descriptor = entries._spilled._descriptor
    assert os.fstat(descriptor).st_nlink == 0
    del entries
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
