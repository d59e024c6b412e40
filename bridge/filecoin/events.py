"""Conversion between Filecoin actor events and Ethereum logs.

A log is an event with entries t1 to t4 (topics) and d (data), flagged as indexed, with raw values. A native actor's
event is a log only if it has that shape. Conversion follows Lotus: unknown keys are ignored, and a malformed event is
not shown. Source: FIP-0049, FIP-0054.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from hypervisor.messages.events import EventEntry
from store.cid import RAW

INDEXED_FLAGS: Final = 3
"""Flags of an entry with indexed key and value."""

MAX_TOPICS: Final = 4
DATA_KEY: Final = "d"
TOPIC_KEYS: Final = ("t1", "t2", "t3", "t4")
_FLAGS: Final = (INDEXED_FLAGS,) * MAX_TOPICS
_CODECS: Final = (RAW,) * MAX_TOPICS
_WORD = 32
_REGULAR: Final = {TOPIC_KEYS[:count] + rest: count for count in range(MAX_TOPICS + 1) for rest in ((), (DATA_KEY,))}
"""Number of topics by the keys of an event emitted by a LOG opcode."""

# Twice as fast as calling the class, since no Python code runs.
entry_of_log: Final = partial(tuple.__new__, EventEntry)
"""Create an event entry from a tuple of its four fields."""


class Log(NamedTuple):
    """Topics of 32 bytes each, and data."""

    topics: tuple[bytes, ...]
    data: bytes


def log_to_entries(log: Log) -> list[EventEntry]:
    """Return the event entries for a LOG opcode; empty data has no entry."""
    if len(log.topics) > MAX_TOPICS or [len(topic) for topic in log.topics].count(_WORD) != len(log.topics):
        raise ValueError(f"a log must have at most {MAX_TOPICS} topics of {_WORD} bytes each")
    entries = list(map(entry_of_log, zip(_FLAGS, TOPIC_KEYS, _CODECS, log.topics, strict=False)))
    if log.data:
        entries.append(entry_of_log((INDEXED_FLAGS, DATA_KEY, RAW, log.data)))
    return entries


def entries_to_log(entries: Sequence[EventEntry]) -> Log | None:
    """Convert an event to a log; None for a codec other than raw, or topics of wrong size, duplicate or with gaps."""
    if entries:
        _, keys, codecs, values = zip(*entries, strict=True)
        count = _REGULAR.get(keys)
        if count is not None and codecs.count(RAW) == len(codecs) and [*map(len, values[:count])].count(_WORD) == count:
            return Log(values[:count], values[count] if len(values) > count else b"")
    return _in_any_order(entries)


def _in_any_order(entries: Sequence[EventEntry]) -> Log | None:
    topics: dict[str, bytes] = {}
    data: bytes | None = None
    for entry in entries:
        if entry.codec != RAW:
            return None
        if entry.key == DATA_KEY:
            if data is not None:
                return None
            data = entry.value
        elif entry.key in TOPIC_KEYS:
            if entry.key in topics or len(entry.value) != _WORD:
                return None
            topics[entry.key] = entry.value
    if set(topics) != set(TOPIC_KEYS[: len(topics)]):
        return None
    return Log(tuple(topics[key] for key in TOPIC_KEYS[: len(topics)]), data or b"")
