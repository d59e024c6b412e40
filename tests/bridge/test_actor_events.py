"""Events of native actors: kinds, and values by the schema. The entries are written by hand from FIP-0118."""

from typing import Any

import pytest

from bridge.actor_events import native_event
from bridge.actors.schemas import actor_schema
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.types import ActorID
from store.cid import CBOR, RAW
from store.codec import encode

BOB = Address.id(ActorID(101)).to_bytes()


def entries(*parts: tuple[str, Any]) -> list[EventEntry]:
    return [EventEntry(1, key, CBOR, encode(value)) for key, value in parts]


def told(actor: str, *parts: tuple[str, Any]) -> tuple[str | None, dict[str, Any]]:
    event = native_event(actor_schema(actor), entries(*parts))
    assert event is not None
    return event.kind, {value.key: value.value for value in event.values}


def test_amounts_stay_in_their_encoding_and_have_their_type() -> None:
    event = native_event(
        actor_schema("reward"), entries(("$type", "claim-payout"), ("stream-id", 2), ("amount", b"\x00\x05"))
    )
    assert event is not None
    assert event.kind == "claim-payout"
    assert [(value.key, value.type) for value in event.values] == [("stream-id", "StreamID"), ("amount", "TokenAmount")]


@pytest.mark.parametrize(
    ("operation", "payload", "expected"),
    [
        (0, [[[2, [5, -1, 10, 3, 9]]]], {"updates": [{"id": 2, "weight": [5, -1, 10, 3, 9]}]}),
        (1, [[[2, [5, 0, 10, 5, 5]]]], {"updates": [{"id": 2, "weight": [5, 0, 10, 5, 5]}]}),
        (2, [[5, 0, 1, 5, 5], None], {"weight": [5, 0, 1, 5, 5], "distribution": None}),
        (3, [], {}),
        (4, [BOB], {"writer": BOB}),
    ],
)
def test_the_payload_of_a_queued_write_is_read_by_its_operation(operation: int, payload: Any, expected: Any) -> None:
    kind, values = told(
        "reward", ("$type", "write-queued"), ("op", operation), ("effective-epoch", 9), ("payload", encode(payload))
    )
    assert kind == "write-queued"
    assert plain(values["payload"]) == expected


def plain(value: Any) -> Any:
    """Convert weight records to lists, their form in the encoding."""
    if isinstance(value, dict):
        return list(value.values()) if "v_start" in value else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("payload", [b"", b"\xff", encode([1])])
def test_non_operation_payload_is_left_unchanged(payload: bytes) -> None:
    _, values = told("reward", ("op", 4), ("payload", payload))
    assert values["payload"] in (payload, [1])


def test_unknown_operation_is_number_with_payload_bytes() -> None:
    assert told("reward", ("op", 5), ("payload", b"\x80")) == (None, {"op": 5, "payload": b"\x80"})


def test_a_value_of_another_type_than_declared_is_read_as_cbor() -> None:
    assert told("reward", ("$type", "claim-payout"), ("stream-id", "two")) == ("claim-payout", {"stream-id": "two"})


def test_events_of_actor_without_declared_types_decode_as_cbor() -> None:
    assert told("storagemarket", ("$type", "deal-published"), ("id", 7)) == ("deal-published", {"id": 7})


@pytest.mark.parametrize("broken", [EventEntry(1, "id", RAW, b"\x07"), EventEntry(1, "id", CBOR, b"\xff")])
def test_an_event_with_another_encoding_is_none(broken: EventEntry) -> None:
    assert native_event(actor_schema("reward"), [*entries(("$type", "x")), broken]) is None


def test_a_kind_that_is_not_text_is_a_value() -> None:
    assert told("reward", ("$type", 5)) == (None, {"$type": 5})
