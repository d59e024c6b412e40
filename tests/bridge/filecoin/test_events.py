"""Conversion between events and logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.filecoin.events import Log, entries_to_log, log_to_entries
from hypervisor.messages.events import EventEntry
from store.cid import CBOR, RAW

words = st.binary(min_size=32, max_size=32)
event_logs = st.builds(Log, st.lists(words, max_size=4).map(tuple), st.binary(max_size=100))


def test_log_is_converted_like_in_official_actor() -> None:
    entries = log_to_entries(Log((b"\x01" * 32, b"\x02" * 32), b"data"))
    assert entries == [
        EventEntry(3, "t1", RAW, b"\x01" * 32),
        EventEntry(3, "t2", RAW, b"\x02" * 32),
        EventEntry(3, "d", RAW, b"data"),
    ]


def test_empty_log_becomes_event_without_entries() -> None:
    assert log_to_entries(Log((), b"")) == []


@given(event_logs)
def test_log_round_trips_through_event(log: Log) -> None:
    assert entries_to_log(log_to_entries(log)) == log


@given(st.permutations(["t1", "t2", "d"]))
def test_entry_order_does_not_matter(keys: list[str]) -> None:
    values = {"t1": b"\x01" * 32, "t2": b"\x02" * 32, "d": b"data"}
    log = entries_to_log([EventEntry(3, key, RAW, values[key]) for key in keys])
    assert log == Log((values["t1"], values["t2"]), b"data")


def test_unknown_keys_are_ignored() -> None:
    assert entries_to_log([EventEntry(3, "note", RAW, b"x"), EventEntry(3, "d", RAW, b"y")]) == Log((), b"y")


@pytest.mark.parametrize(
    "entries",
    [
        [EventEntry(3, "$type", CBOR, b"\x61a")],
        [EventEntry(3, "t1", RAW, bytes(31))],
        [EventEntry(3, "t2", RAW, bytes(32))],
        [EventEntry(3, "t1", RAW, bytes(32)), EventEntry(3, "t1", RAW, bytes(32))],
        [EventEntry(3, "d", RAW, b""), EventEntry(3, "d", RAW, b"")],
    ],
    ids=["codec", "short topic", "gap", "topic twice", "data twice"],
)
def test_event_of_another_shape_is_not_a_log(entries: list[EventEntry]) -> None:
    assert entries_to_log(entries) is None


@pytest.mark.parametrize("log", [Log((bytes(32),) * 5, b""), Log((b"short",), b"")])
def test_log_with_invalid_topics_is_refused(log: Log) -> None:
    with pytest.raises(ValueError, match="at most 4 topics"):
        log_to_entries(log)
