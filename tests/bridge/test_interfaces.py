"""Interfaces of native actors, as schemas.

- Interfaces as data: methods of a schema, and conversion of values to and from CBOR.
- Methods of the built-in actors by number, and the interpretation of byte strings by schema.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from bridge.actors.interfaces import MAX_SCHEMA, Interface
from bridge.actors.schemas import ANY, FIXED_NUMBERS, actor_method, actor_schema, meaning, native_event, term_below
from bridge.bindings import multisig
from bridge.filecoin.method_numbers import FIRST_EXPORTED_METHOD, method_number
from hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.text import PrintedCid
from hypervisor.types import ActorID
from store.cid import CBOR, RAW, parse_cid
from store.codec import encode, link

TEMPLATE = Path(__file__).parents[2] / "hypervisor" / "builtin_actors" / "template" / "tip_jar" / "interface.ipldsch"

SHAPES = """
type ConstructorParams unit representation null
type AddParams = TokenAmount
type AddReturn int
type PayParams struct {
    to Address
    amount TokenAmount
    note String
    memo nullable Bytes
    parts [Part]
} representation tuple
type Part struct {
    name String
    link Link
} representation tuple
type PickParams union {
    | Address bytes
    | String string
} representation kinded
type PickReturn {String:TokenAmount}
type PingReturn unit representation null
"""


def link_of(text: str) -> Any:
    return link(parse_cid(text))


@pytest.fixture(scope="module")
def shapes() -> Interface:
    return Interface.parse(SHAPES)


def test_methods_have_the_numbers_of_their_names() -> None:
    text = "type NameReturn string\ntype TransferParams int\ntype ReceiveParams bytes\ntype ConstructorParams int"
    # of the official datacap actor and of every token receiver
    assert {name: number for name, (number, _) in Interface.parse(text).methods.items()} == {
        "Constructor": 1, "Name": 48890204, "Transfer": 80475954, "Receive": 3726118371,
    }  # fmt: skip


def test_structs_accept_maps_or_lists_and_encode_as_tuples(shapes: Interface) -> None:
    cid = "bafk2bzacedfvut2myeleyq67fljcrw4kkmn5pb5dpyozovj7jpoez5irnc3ro"
    expected = dag_cbor.encode([b"\x00\x64", b"\x00\x0a", "hi", None, [["a", CID.decode(cid)]]])
    part = {"name": "a", "link": {"/": cid}}
    as_map = {"to": "f0100", "amount": "10", "note": "hi", "memo": None, "parts": [part]}
    assert shapes.params("Pay", as_map) == expected
    assert shapes.params("Pay", [Address.id(100), 10, "hi", None, [["a", cid]]]) == expected


@pytest.mark.parametrize("form", [parse_cid, lambda text: PrintedCid(parse_cid(text)), CID.decode, str, link_of])
def test_links_accept_cids_in_every_form(shapes: Interface, form: Callable[[str], Any]) -> None:
    cid = "bafk2bzacedfvut2myeleyq67fljcrw4kkmn5pb5dpyozovj7jpoez5irnc3ro"
    interface = Interface.parse(f"{SHAPES}type KeepParams &Any\ntype KeepReturn &Any")
    encoded = interface.params("Keep", form(cid))
    assert encoded == dag_cbor.encode(CID.decode(cid))
    assert interface.params("Keep", interface.decode_return("Keep", encoded)) == encoded


def test_addresses_come_in_every_form(shapes: Interface) -> None:
    masked = "0xff" + "00" * 18 + "64"
    for text in ("f0100", "t0100", masked, Address.id(100)):
        assert shapes.params("Pay", [text, 0, "", b"", []])[:4] == b"\x85\x42\x00\x64"


def test_a_unit_is_no_block_at_all(shapes: Interface) -> None:
    assert shapes.params("Constructor") == b""
    assert shapes.decode_return("Ping", b"") is None
    with pytest.raises(InvalidInput, match="takes no parameters"):
        shapes.params("Constructor", {})
    with pytest.raises(InvalidInput, match="expected none, found 1 bytes"):
        shapes.decode_return("Ping", b"\xf6")


def test_answers_come_back_typed_and_as_json(shapes: Interface) -> None:
    assert shapes.decode_return("Add", b"\x18\x2a") == 42
    data = dag_cbor.encode({"a": b"\x00\x05", "b": b"\x01\x05", "c": b""})
    assert shapes.decode_return("Pick", data) == {"a": 5, "b": -5, "c": 0}
    assert shapes.return_as_json("Pick", data) == {"a": "5", "b": "-5", "c": "0"}
    total = Interface.parse(TEMPLATE.read_text()).decode_return("Total", dag_cbor.encode([2, b"\x00\x07"]))
    assert (total.tips, total.received) == (2, 7)


def test_built_in_actor_interface_params_match_bindings() -> None:
    interface = Interface.built_in("multisig")
    call = multisig.approve(7, b"\x01")
    assert interface.number("Approve") == call.method
    assert interface.params("Approve", {"id": 7, "proposal_hash": "0x01"}) == call.params
    assert "Batch" not in interface.methods
    assert interface.signature("AddSigner") == "AddSigner(signer: Address, increase: Bool)"


def test_hooks_are_methods_of_built_in_actors_handling_them() -> None:
    having = {
        hook: {actor for actor in ACTOR_NAMES if hook in Interface.built_in(actor).methods}
        for hook in ("Receive", "AuthenticateMessage")
    }
    assert having == {
        "Receive": {"account", "ethaccount", "evm", "multisig", "placeholder", "verifiedregistry"},
        "AuthenticateMessage": {"account", "evm"},
    }


@pytest.mark.parametrize(
    ("method", "value", "words"),
    [
        ("Nope", None, "no method 'Nope': expected one of Add, Constructor, Pay, Pick, Ping"),
        ("Add", None, "expected an amount"),
        ("Add", True, "expected an amount"),
        ("Add", "1.5", "'1.5' is not an amount: expected an integer, or decimal text"),
        ("Add", "1fil", "'1fil' is not an amount: expected an integer, or decimal text"),
        ("Add", "9" * 500, "expected an amount"),
        ("Add", 1 << 2000, "too big"),
        ("Pay", 5, "expected {to, amount, note, memo, parts}, found int"),
        ("Pay", [], "expected 5 values"),
        ("Pay", {"to": "f0100"}, "the field amount is missing"),
        ("Pay", {"to": "f9"}, "to: 'f9' is not an address"),
        ("Pay", {"to": "0x12"}, "to: an Ethereum address has 20 bytes, but 0x12 has 1"),
        ("Pay", {"to": 5}, "to: expected an address, found int"),
        ("Pay", ["f0100", 1, "", "zz", []], "memo: 'zz' is not valid bytes"),
        ("Pay", ["f0100", 1, "", None, [{"name": "a", "link": {"/": "?"}}]], "parts/0/link"),
        ("Pay", ["f0100", 1, "", None, [["a", b"no CID"]]], "parts/0/link: unsupported CID version 110"),
        ("Pay", ["f0100", 1, "", None, [["a", 5]]], "parts/0/link: expected a link, found an integer"),
        (
            "Pay",
            {"to": "f0100", "amount": 1, "note": "", "memo": None, "parts": [], "more": 1},
            "unknown field 'more'",
        ),
    ],
)
def test_mismatching_params_are_refused_with_path(shapes: Interface, method: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)):
        shapes.params(method, value)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\x82\x01", b"\x83\x01\x40\x40", b"\x82\x41\x00\x40", b"\x82\x01\x42\x02\x00"]
)
def test_an_answer_that_the_schema_does_not_say_is_refused(data: bytes) -> None:
    interface = Interface.parse(TEMPLATE.read_text())
    if data == b"\x82\x01\x42\x02\x00":  # an amount with an invalid sign byte remains bytes, as everywhere
        assert interface.decode_return("Total", data).received == b"\x02\x00"
        return
    with pytest.raises(InvalidInput, match="return value of Total"):
        interface.decode_return("Total", data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "declares no types"),
        ("type X struct {", "line 1"),
        ("type X int\ntype X int", "line 2: X is declared twice"),
        ("type xParams int", "'x' is not a valid method name"),
        ("type AParams struct { a AParams } representation tuple", "contains itself"),
        ("type AParams [Nothing]", "Nothing"),
        ("#" * (MAX_SCHEMA + 1), "exceeds"),
        ("# methods: 2 Post, Take\ntype X int", "mine.ipldsch has an invalid method 'Take': expected a number from 2"),
        ("# methods: 1 Post\ntype X int", "has an invalid method '1 Post'"),
        (f"# methods: {1 << 64} Post\ntype X int", f"has an invalid method '{1 << 64} Post'"),
        ("# methods: 2 post\ntype X int", "'post' is not a valid method name"),
        ("# methods: 2 Post\n#methods: 2 Take\ntype X int", "duplicate method"),
        ("# methods: 2 Post, 3 Post\ntype X int", "duplicate method"),
    ],
)
def test_a_text_that_is_no_interface_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Interface.parse(text, "mine.ipldsch")


def test_a_comment_names_the_numbers_that_are_no_hashes() -> None:
    """Compare with the built-in actors' numbers in the table `FIXED_NUMBERS`."""
    found = Interface.parse(
        "# methods: 2 Post,  9  Take,\n# methods: 3 Look\n# methods: see there\n"
        "type PostParams struct {} type BidParams int"
    )
    assert {name: number for name, (number, _) in found.methods.items()} == {
        "Constructor": 1, "Post": 2, "Look": 3, "Take": 9, "Bid": method_number("Bid"),
    }  # fmt: skip
    known = found.method_at(2)
    assert known is not None
    assert (known.name, known.params) == ("Post", "PostParams")


@pytest.mark.slow
def test_too_many_or_too_deep_types_and_values_are_refused() -> None:
    with pytest.raises(InvalidInput, match="declares 201 types: expected 1 to 200"):
        Interface.parse("\n".join(f"type A{number} int" for number in range(201)))
    chain = [f"type A{number} [A{number + 1}]" for number in range(197)]
    deep = Interface.parse("\n".join([*chain, "type A197 int", "type SetParams = A0", "type GetReturn = A0"]))
    assert deep.params("Set", []) == b"\x80"
    assert deep.decode_return("Get", b"\x81\x80") == [[]]
    value: list[Any] = []
    for _ in range(255):
        value = [value]
    assert Interface.parse("type SetParams [SetParams]").params("Set", value) == b"\x81" * 255 + b"\x80"
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidInput, match="more than 256 nested lists and maps"):
        Interface.parse("type SetParams [SetParams]").params("Set", value)


def test_an_own_type_may_have_a_shared_ones_name() -> None:
    interface = Interface.parse("type Transfer int\ntype Multiaddr int\ntype SetParams = Multiaddr")
    assert interface.params("Set", 5) == b"\x05"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.slow
@given(value=JSON, method=st.sampled_from(["Add", "Pay", "Pick", "Constructor"]))
def test_arbitrary_json_params_raise_only_invalid_input(shapes: Interface, value: Any, method: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(shapes.params(method, value), bytes)


@given(data=st.binary(max_size=64), method=st.sampled_from(["Add", "Pick", "Ping"]))
def test_arbitrary_answer_bytes_raise_only_invalid_input(shapes: Interface, data: bytes, method: str) -> None:
    with suppress(InvalidInput):
        json.dumps(shapes.return_as_json(method, data))


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
