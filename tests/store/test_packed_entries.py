"""Packed entries: the last value put is found, recent or packed."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.packed_entries import PackedEntries
from tests.conftest import samples

KEYS = st.sampled_from([b"name", *(b"a key of one of many %d" % number for number in range(40))])
VALUES = st.none() | st.binary(max_size=60)


@given(st.lists(st.tuples(KEYS, VALUES)))
@settings(max_examples=samples(300))
def test_packed_entries_match_dict(changes: list[tuple[bytes, bytes | None]]) -> None:
    entries, plain = PackedEntries(recent=100, page=100), dict[bytes, bytes | None]()
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
    assert sum(map(len, entries._pages)) < 2_000 * 20
    assert entries.get((5).to_bytes(32, "big")) == bytes(60) + (5).to_bytes(4, "big")


def test_entry_larger_than_page_gets_own_page() -> None:
    entries = PackedEntries(recent=10, page=10)
    for number in range(5):
        entries.put_all([(b"long key %d" % number, bytes([number]) * 1_000)])
    assert [entries.get(b"long key %d" % number) for number in range(5)] == [bytes([each]) * 1_000 for each in range(5)]


@pytest.mark.sampled
def test_a_reader_finds_each_entry_while_a_writer_packs_them() -> None:
    entries, missing = PackedEntries(recent=1_000, page=500), list[bytes]()
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
