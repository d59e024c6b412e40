"""Interfaces as data: methods of a schema, and conversion of values to and from CBOR."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from bridge.actors.interfaces import MAX_SCHEMA, Interface
from bridge.bindings import multisig
from bridge.filecoin.parameters import method_number
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address

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


@given(value=JSON, method=st.sampled_from(["Add", "Pay", "Pick", "Constructor"]))
def test_arbitrary_json_params_raise_only_invalid_input(shapes: Interface, value: Any, method: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(shapes.params(method, value), bytes)


@given(data=st.binary(max_size=64), method=st.sampled_from(["Add", "Pick", "Ping"]))
def test_arbitrary_answer_bytes_raise_only_invalid_input(shapes: Interface, data: bytes, method: str) -> None:
    with suppress(InvalidInput):
        json.dumps(shapes.return_as_json(method, data))
