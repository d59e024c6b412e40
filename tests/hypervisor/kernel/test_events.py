"""Events: limits and error numbers, charges computed by hand, and the AMT root of a hand-made encoding.

Errors and charges from network version 21 on are those of the reference in tests/golden/events.jsonl.gz.
"""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.kernel.events import EntryHeader
from hypervisor.messages.events import EventEntry, StampedEvent, events_root
from hypervisor.types import ActorID
from store.cid import CBOR, DAG_CBOR, RAW
from store.codec import encode
from tests.hypervisor.world import GAS, World, refused, used

ILLEGAL, CODEC = ErrorNumber.ILLEGAL_ARGUMENT, ErrorNumber.ILLEGAL_CODEC


def emit(kernel: Kernel, headers: list[EntryHeader], keys: bytes, values: bytes) -> None:
    kernel.events.emit_buffers(len(headers), headers, keys, values)


def price(headers: list[EntryHeader], keys: bytes, values: bytes) -> int:
    """Return 17.2 per byte of the estimated size, 2,000 + 1,400 per entry, 500 + 16 per byte of keys; in milligas."""
    estimated = 12 + 9 * len(headers) + len(keys) + len(values)
    return 17_200 * estimated + (2_000 + 1_400 * len(headers)) * GAS + (500 + 16 * len(keys)) * GAS


def test_read_only_call_cannot_emit_event_and_is_not_charged() -> None:
    kernel = World().kernel(read_only=True)
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: emit(kernel, [], b"", b"")) == 0
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.events.emit_block(b"")) == 0
    assert not kernel.calls.events


def test_events_from_values_match_encoded_entries_and_price() -> None:
    entries = [EventEntry(3, "ключ", RAW, b"\x01"), EventEntry(0, "d", CBOR, b"")]
    keys = "ключd".encode()
    kernel = World().kernel()
    headers = [(3, RAW, 8, 1), (0, CBOR, 1, 0)]
    assert used(kernel, lambda: kernel.events.emit(entries)) == price(headers, keys, b"\x01")
    assert kernel.calls.events == [StampedEvent(ActorID(100), tuple(entries))]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([RAW, CBOR, DAG_CBOR]), st.integers(0, 33), st.integers(0, 20)),
        max_size=6,
    ),
    st.binary(max_size=60) | st.text(max_size=20).map(str.encode),
    st.binary(max_size=60),
)
def test_any_buffers_are_an_event_or_an_error_number(headers: list[EntryHeader], keys: bytes, values: bytes) -> None:
    kernel = World().kernel()
    try:
        emit(kernel, headers, keys, values)
    except SyscallError:
        assert not kernel.calls.events
        return
    [event] = kernel.calls.events
    assert b"".join(entry.key.encode() for entry in event.entries) == keys
    assert b"".join(entry.value for entry in event.entries) == values


# --- version 3 ----------------------------------------------------------------------------------------------------


def v3(*entries: list[object]) -> bytes:
    return encode(list(entries))


def test_version_18_takes_an_event_as_one_block() -> None:
    kernel = World(18).kernel()
    data = v3([3, "t1", RAW, b"abc"], [0, "k" * 32, RAW, b""])
    # 2.4 + 25 a byte and 1,750; then 15.2 a byte of the stamped event, 12 bytes longer
    spent = 27_400 * len(data) + 1_750 * GAS + 15_200 * (len(data) + 12)
    assert used(kernel, lambda: kernel.events.emit_block(data)) == spent
    [event] = kernel.calls.events
    assert event.entries == (EventEntry(3, "t1", RAW, b"abc"), EventEntry(0, "k" * 32, RAW, b""))


def test_the_limits_of_version_18_are_allowed() -> None:
    kernel = World(18).kernel()
    kernel.events.emit_block(v3(*[[0, "", RAW, bytes(32)] for _ in range(256)]))
    kernel.events.emit_block(v3())
    assert [len(event.entries) for event in kernel.calls.events] == [256, 0]


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"\xff", ILLEGAL),
        (b"", ILLEGAL),
        (encode({"a": 1}), ILLEGAL),
        (v3([0, "k", RAW]), ILLEGAL),
        (v3([0, "k", RAW, b"", 0]), ILLEGAL),
        (v3(["0", "k", RAW, b""]), ILLEGAL),
        (v3([True, "k", RAW, b""]), ILLEGAL),
        (v3([-1, "k", RAW, b""]), ILLEGAL),
        (v3([0, b"k", RAW, b""]), ILLEGAL),
        (v3([0, "k", RAW, "v"]), ILLEGAL),
        (v3([0, "k", -1, b""]), ILLEGAL),
        (v3([0, "k", True, b""]), ILLEGAL),
        (v3([4, "k", RAW, b""]), ILLEGAL),
        (v3([8, "k", RAW, b""]), ILLEGAL),
        (v3([0, "k" * 33, RAW, b""]), ILLEGAL),
        (v3([0, "ä" * 17, RAW, b""]), ILLEGAL),
        (v3([0, "k", RAW, bytes(4_096)], [0, "k", RAW, bytes(4_097)]), ILLEGAL),
        (v3(*[[0, "", RAW, b""] for _ in range(257)]), ILLEGAL),
        (v3([0, "k", CBOR, b""]), CODEC),
        (v3([0, "k", DAG_CBOR, b""]), CODEC),
    ],
)
def test_invalid_event_in_nv18_fails_after_validation_charge(data: bytes, number: ErrorNumber) -> None:
    kernel = World(18).kernel()
    assert refused(number, kernel, lambda: kernel.events.emit_block(data)) == 27_400 * len(data) + 1_750 * GAS
    assert not kernel.calls.events


# --- the root -----------------------------------------------------------------------------------------------------


def cid_by_hand(block: bytes) -> bytes:
    """Return the CIDv1 with DAG-CBOR and blake2b-256 of 32 bytes."""
    return bytes.fromhex("0171a0e40220") + hashlib.blake2b(block, digest_size=32).digest()


def event_by_hand(emitter: int) -> bytes:
    """Encode [emitter, [[3, "t", 0x55, h'01']]] for an emitter from 24 to 255."""
    return bytes([0x82, 0x18, emitter]) + bytes.fromhex("81 84 03 6174 1855 4101".replace(" ", ""))


def leaf_by_hand(events: list[bytes]) -> bytes:
    """Encode an AMT node of bit width 5: 4 bytes of bitmap, lowest bit first, no links, up to 32 values."""
    bitmap = ((1 << len(events)) - 1).to_bytes(4, "little")
    head = bytes([0x80 | len(events)]) if len(events) < 24 else bytes([0x98, len(events)])
    return b"\x83\x44" + bitmap + b"\x80" + head + b"".join(events)


def stamped(emitter: int) -> StampedEvent:
    return StampedEvent(ActorID(emitter), (EventEntry(3, "t", RAW, b"\x01"),))


def test_empty_events_have_no_root() -> None:
    assert events_root([]) is None


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_up_to_32_events_are_one_leaf(count: int) -> None:
    events = [event_by_hand(100 + n) for n in range(count)]
    size = bytes([count]) if count < 24 else bytes([0x18, count])
    root = b"\x84\x05\x00" + size + leaf_by_hand(events)  # bit width, height, count, node
    assert events_root([stamped(100 + n) for n in range(count)]) == cid_by_hand(root)


def test_33_events_are_two_leaves_under_a_node() -> None:
    events = [event_by_hand(100 + n) for n in range(33)]
    links = [b"\xd8\x2a\x58\x27\x00" + cid_by_hand(leaf_by_hand(part)) for part in (events[:32], events[32:])]
    node = b"\x83\x44\x03\x00\x00\x00\x82" + b"".join(links) + b"\x80"
    root = b"\x84\x05\x01\x18\x21" + node
    assert events_root([stamped(100 + n) for n in range(33)]) == cid_by_hand(root)
