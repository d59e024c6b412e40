"""Filecoin actor events and Ethereum logs.

A log is an event whose entries are t1 to t4 (topics) and d (data), flagged for indexing, with raw values. An event
made by a native actor is a log only if it has that shape. Rules: FIP-0049, FIP-0054; what a node shows as a log is
Lotus' conversion (unknown keys are left out, a broken shape hides the event).
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from hypervisor.events import EventEntry
from store.cid import RAW

INDEXED_FLAGS: Final = 3
"""Key and value are indexed."""

MAX_TOPICS: Final = 4
DATA_KEY: Final = "d"
TOPIC_KEYS: Final = ("t1", "t2", "t3", "t4")
_FLAGS: Final = (INDEXED_FLAGS,) * MAX_TOPICS
_CODECS: Final = (RAW,) * MAX_TOPICS
_WORD = 32
_REGULAR: Final = {TOPIC_KEYS[:count] + rest: count for count in range(MAX_TOPICS + 1) for rest in ((), (DATA_KEY,))}
"""How many topics there are, by the keys of an event as a LOG opcode emits it."""

# In half the time that a named tuple takes to be made from its parts: nothing of Python's own runs.
entry_of_log: Final = partial(tuple.__new__, EventEntry)
"""An event's entry from a tuple of its four parts."""


class Log(NamedTuple):
    """Topics of 32 bytes each, and data."""

    topics: tuple[bytes, ...]
    data: bytes


def log_to_entries(log: Log) -> list[EventEntry]:
    """The entries of the event that a LOG opcode emits; empty data makes no entry."""
    if len(log.topics) > MAX_TOPICS or [len(topic) for topic in log.topics].count(_WORD) != len(log.topics):
        raise ValueError(f"a log has at most {MAX_TOPICS} topics of {_WORD} bytes each")
    entries = list(map(entry_of_log, zip(_FLAGS, TOPIC_KEYS, _CODECS, log.topics, strict=False)))
    if log.data:
        entries.append(entry_of_log((INDEXED_FLAGS, DATA_KEY, RAW, log.data)))
    return entries


def entries_to_log(entries: Sequence[EventEntry]) -> Log | None:
    """The log that an event is, or None: a codec other than raw, a topic of another size, twice, or with a gap."""
    if entries:
        _, keys, codecs, values = zip(*entries, strict=True)
        count = _REGULAR.get(keys)
        if count is not None and codecs.count(RAW) == len(codecs) and [*map(len, values[:count])].count(_WORD) == count:
            return Log(values[:count], values[count] if len(values) > count else b"")
    return _in_any_order(entries)


def _in_any_order(entries: Sequence[EventEntry]) -> Log | None:
    """The same for entries in any order."""
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
