"""Methods of the built-in actors by number, and the interpretation of byte strings by schema."""

import re
from typing import Any

import pytest

from bridge.actors.schemas import ANY, FIXED_NUMBERS, actor_method, actor_schema, meaning, native_event, term_below
from bridge.filecoin.parameters import FIRST_EXPORTED_METHOD
from hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.types import ActorID
from store.cid import CBOR, RAW
from store.codec import encode


# Numbers of exported methods from the list of the official actors v18.
@pytest.mark.parametrize(
    ("actor", "number", "name"),
    [
        ("datacap", 48890204, "Name"),
        ("datacap", 80475954, "Transfer"),
        ("datacap", 1777121560, "IncreaseAllowance"),
        ("storagepower", 1173380165, "CreateMiner"),
        ("storagepower", 3753401894, "MinerRawPower"),
        ("storageminer", 3275365574, "GetOwner"),
        ("storageminer", 2280458852, "WithdrawBalance"),
        ("storageminer", 3665352697, "RepayDebt"),
        ("storageminer", 2354970453, "ConfirmChangeWorkerAddress"),
        ("storagemarket", 726108461, "GetBalance"),
        ("verifiedregistry", 3916220144, "AddVerifiedClient"),
        ("account", 2643134072, "AuthenticateMessage"),
        ("evm", 3844450837, "InvokeEVM"),
        ("evm", 3, "GetBytecode"),
        ("eam", 4, "CreateExternal"),
        ("init", 3, "Exec4"),
        ("reward", 2, "AwardBlockReward"),
        ("cron", 2, "EpochTick"),
        ("multisig", 2, "Propose"),
        ("multisig", 3726118371, "Receive"),
        ("anything", 3726118371, "Receive"),
        ("anything", 0, "Send"),
        ("anything", 1, "Constructor"),
    ],
)
def test_a_number_has_its_name(actor: str, number: int, name: str) -> None:
    method = actor_method(actor, number)
    assert method is not None
    assert method.name == name


def test_an_unknown_number_has_none() -> None:
    assert actor_method("datacap", 5) is None
    assert actor_method("nobody", 48890204) is None


def test_parameters_and_answers_have_their_types() -> None:
    transfer, name, tick = (
        actor_method(*which) for which in (("datacap", 80475954), ("datacap", 48890204), ("cron", 2))
    )
    assert transfer is not None
    assert name is not None
    assert tick is not None
    assert (transfer.params, transfer.returns) == ("TransferParams", "TransferReturn")
    assert (name.params, name.returns) == (None, "NameReturn")
    assert (tick.params, tick.returns) == (None, None)


_NUMBERED = re.compile(r"# method (\d+)\b[^\n]*\n(?:#[^\n]*\n)*type (\w+?)(?:Params|Return)\b")


@pytest.mark.parametrize("actor", NAMES)
def test_the_actors_fixed_numbers_are_those_of_the_schemas(actor: str) -> None:
    rows = [row.split() for row in FIXED_NUMBERS.get(actor, "").split(", ") if row]
    numbered = {int(number): name for number, name in _NUMBERED.findall(schema_text(actor))}
    own = {number: name for number, name in numbered.items() if 1 < number < FIRST_EXPORTED_METHOD}
    assert own.items() <= {int(number): name for number, name in rows}.items()
    for number, name in rows:
        method = actor_method(actor, int(number))
        assert method is not None
        assert method.name == name
        assert (method.params or method.returns) or f" {number}" in schema_text(actor)


def test_byte_strings_mean_amounts_addresses_or_themselves() -> None:
    schema = actor_schema("datacap")
    assert meaning(schema, "TokenAmount", b"\x00\x05") == 5
    assert meaning(schema, "TotalSupplyReturn", b"\x01\x05") == -5
    assert meaning(schema, "ConstructorParams", b"\x00\x64") == Address.id(100)
    assert meaning(schema, "RawBytes", b"\x00\x64") == b"\x00\x64"
    for torn in ("TokenAmount", "Address"):
        assert meaning(schema, torn, b"\x09") == b"\x09"


def test_value_fields_have_declared_types() -> None:
    miner = actor_schema("storageminer")
    assert term_below(miner, "GetOwnerReturn", "owner") == "Address"
    assert term_below(miner, term_below(miner, "ChangeWorkerAddressParams", "new_control_addresses"), "") == "Address"
    assert term_below(miner, "Address", "") == ANY


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
