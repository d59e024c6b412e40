"""Solidity functions of built-in actors, without a machine: selectors, parameters, return values."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.abi import function_abi_to_4byte_selector
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from bridge.actors.facade import (
    ERRORS,
    INTERFACES,
    SMALL_NUMBERS_ONLY,
    FacadeFunction,
    FacadeRefusal,
    SolidityTypes,
    exported_methods,
    facade,
)
from bridge.filecoin.parameters import method_number
from hypervisor.types import ActorID
from store.cid import CBOR, cid_of
from store.codec import decode, encode, link

FOLDER = Path(__file__).parents[2] / "bridge" / "solidity"
ME = ActorID(5)


def function(actor: str, name: str) -> FacadeFunction:
    return next(found for found in facade(actor).values() if found.name == name)


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


@pytest.mark.parametrize("actor", INTERFACES)
def test_facade_selectors_match_abi_selectors_of_eth_utils(actor: str) -> None:
    abi = json.loads((FOLDER / f"{INTERFACES[actor]}.json").read_text())
    found = {function_abi_to_4byte_selector(item): item["name"] for item in abi if item["type"] == "function"}
    assert found == {selector: function.name for selector, function in facade(actor).items()}


def test_method_numbers_are_hashes_or_small() -> None:
    assert {method.number for method in exported_methods("multisig")} == set(range(2, 10))
    for actor in set(INTERFACES) - set(SMALL_NUMBERS_ONLY):
        assert all(method.number == method_number(method.name) for method in exported_methods(actor))


def test_method_params_match_handwritten_cbor() -> None:
    transfer = function("datacap", "transfer")
    to = b"\x00\x63"
    calldata = (
        transfer.selector
        + words(0x60, -1, 0xC0, 0x20, 2)
        + to.ljust(32, b"\0")
        + words(3)
        + b"\xa1\xb2\xc3".ljust(32, b"\0")
    )
    # [h'0063', h'0101' (minus one), h'a1b2c3']
    assert transfer.params(calldata) == bytes.fromhex("8342006342010143a1b2c3")


def test_a_single_parameter_stands_bare() -> None:
    deal = function("storagemarket", "getDealClient")
    assert deal.params(deal.selector + words(300)) == bytes.fromhex("19012c")
    assert deal.encode_return(ME, bytes.fromhex("1903e8")) == words(1000)


def test_a_method_without_parameters_is_called_without_any() -> None:
    assert function("datacap", "name").params(function("datacap", "name").selector) == b""


def test_null_and_choices_are_lists() -> None:
    owner = function("storageminer", "getOwner")
    assert owner.encode_return(ME, bytes.fromhex("82 42 0064 f6")) == words(0x40, 0xA0, 0x20, 2) + b"\0\x64".ljust(
        32, b"\0"
    ) + words(0)
    label = function("storagemarket", "getDealLabel")
    text, blob = label.encode_return(ME, encode("é")), label.encode_return(ME, encode(b"\xff"))
    assert text == words(0x20, 0x40, 0xC0, 1, 0x20, 2) + "é".encode().ljust(32, b"\0") + words(0)
    assert blob == words(0x20, 0x40, 0x60, 0, 1, 0x20, 1) + b"\xff".ljust(32, b"\0")


def test_a_cid_is_its_bytes_without_the_zero() -> None:
    commitment = function("storagemarket", "getDealDataCommitment")
    cid = cid_of(b"piece", CBOR)
    result = commitment.encode_return(ME, encode([link(cid), 2048]))
    assert result == words(0x40, 2048, 0x20, len(cid)) + cid.ljust(64, b"\0")


BAD_ANSWERS: dict[str, tuple[str, str, bytes | None]] = {
    "none at all": ("storagemarket", "getBalance", None),
    "one where nothing is answered": ("storagemarket", "addBalance", b"\x01"),
    "another number of values": ("storagemarket", "getBalance", encode([b"", b"", b""])),
    "text in place of a list": ("storagemarket", "getBalance", encode("text")),
    "an amount beyond int256": ("datacap", "totalSupply", encode(b"\0" + (2**255).to_bytes(32, "big"))),
    "an amount beyond int256, negative": ("datacap", "totalSupply", encode(b"\1" + (2**255 + 1).to_bytes(32, "big"))),
    "an amount of 129 bytes": ("datacap", "totalSupply", encode(bytes(129))),
    "a sign byte of 2": ("datacap", "totalSupply", encode(b"\2\1")),
    "an ID below zero": ("storagemarket", "getDealClient", encode(-1)),
    "a label that is neither text nor bytes": ("storagemarket", "getDealLabel", encode(5)),
    "no CBOR": ("storagemarket", "getDealClient", b"\xff"),
    "a bignum": ("storagemarket", "getDealClient", bytes.fromhex("c249010000000000000000")),
    "a CID that is none": ("storagemarket", "getDealDataCommitment", encode([b"cid", 1])),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_an_answer_that_solidity_cannot_have_is_a_typed_error(case: str) -> None:
    actor, name, data = BAD_ANSWERS[case]
    with pytest.raises(FacadeRefusal, match=r"^BadAnswer\(5, "):
        function(actor, name).encode_return(ME, data)


def test_the_largest_amounts_of_int256_pass() -> None:
    supply = function("datacap", "totalSupply")
    for number in (2**255 - 1, -(2**255)):
        magnitude = abs(number).to_bytes(32, "big")
        assert supply.encode_return(ME, encode(bytes([number < 0]) + magnitude)) == words(number)


def test_invalid_utf8_and_invalid_cids_are_refused() -> None:
    publish = function("storagemarket", "publishStorageDeals")
    _, deals = publish.inputs[0]
    address, amount = [b"\0\1"], 0
    for cid, label in (
        (b"no cid", [[b"label"], []]),
        (cid_of(b"x", CBOR), [[b"\xff"], []]),
        (cid_of(b"x", CBOR), [[], []]),
    ):
        proposal: tuple[Any, ...] = (([cid]), 1, False, address, address, label, 1, 2, amount, amount, amount)
        name = deals.coder.name.replace("string[]", "bytes[]")  # the same encoding, for bytes that are not valid text
        calldata = publish.selector + abi_encode([name], [[(proposal, b"")]])
        with pytest.raises(FacadeRefusal, match="BadCalldata"):
            publish.params(calldata)


@given(st.sampled_from(sorted(INTERFACES)), st.data(), st.binary(max_size=200))
def test_any_calldata_is_translated_faithfully_or_refused(actor: str, data: Any, tail: bytes) -> None:
    chosen = data.draw(st.sampled_from(sorted(facade(actor))))
    call = facade(actor)[chosen]
    try:
        params = call.params(chosen + tail)
    except FacadeRefusal as refused:
        refusal: FacadeRefusal | None = refused
    else:
        refusal = None
    if refusal is not None:
        assert refusal.data[:4] in {Web3.keccak(text=signature(name))[:4] for name in ERRORS}
        return
    values = decode(params) if params else []
    again = values if call.takes_tuple or not params else [values]
    assert chosen + call.arguments.write(again) == chosen + tail


def signature(error: str) -> str:
    return f"{error}({','.join(coder.name for coder, _ in ERRORS[error])})"


def test_a_type_that_no_method_has_is_no_type_of_solidity() -> None:
    with pytest.raises(TypeError):
        SolidityTypes("init").of("AddressMap")
    with pytest.raises(TypeError):
        SolidityTypes("placeholder").of("Any")
