"""Messages, signed messages and receipts: encodings, CIDs, and invalid input.

Expected bytes and CIDs are from the network's serialization vectors and the test vectors of Zondax' signing tools.
"""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from hypervisor.errors import MessageError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage
from hypervisor.types import Gas, MethodNumber, TokenAmount
from store.cid import parse_cid, show
from store.codec import decode, encode

SERIALIZED = [
    (
        Message(
            Address.parse("t01865627127944795144"),
            Address.parse("t2ch7krq7l35i74rebqbjdsp3ucl47t24e3juxjfa"),
            nonce=8_761_748_149_847_665_013,
            value=TokenAmount(14_660_210_602_831_582_403),
            method=MethodNumber(18_281_837_776_054_215_652),
            params=b64decode("Vq1LbNc+tCBsX7tgeMy4SKatllSlMJgP9PsgeFzEQyQ="),
            gas_limit=Gas(520_359_252_439_502_252),
            gas_fee_cap=TokenAmount(3_793_669_768_932_905_166),
            gas_premium=TokenAmount(17_474_946_865_727_176_983),
        ),
        "8a004a0088a8eda3d0bf82f219550211fea8c3ebdf51fe44818052393f7412f9f9eb841b7997fb85431b29754900cb7387dec23114c31b07"
        "38affbad3e8dac490034a5d28e1c6250ce4900f2837b96907e81171bfdb62298930763e4582056ad4b6cd73eb4206c5fbb6078ccb848a6ad"
        "9654a530980ff4fb20785cc44324",
    ),
    (
        Message(
            Address.parse("t17uoq6tp427uzv7fztkbsnn64iwotfrristwpryy"),
            Address.parse("t1d2xrzcslx7xlbbylc5c3d5lvandqw4iwl6epxba"),
            nonce=1,
            value=TokenAmount(100_000),
            gas_limit=Gas(25_000),
            gas_fee_cap=TokenAmount(1),
            gas_premium=TokenAmount(1),
        ),
        "8a005501fd1d0f4dfcd7e99afcb99a8326b7dc459d32c62855011eaf1c8a4bbfeeb0870b1745b1f57503470b71160144000186a01961a842"
        "00014200010040",
    ),
    (
        Message(
            Address.parse("f018446744073709"),
            Address.id(0),
            nonce=1,
            value=TokenAmount(100_000),
            gas_limit=Gas(25_000),
            gas_fee_cap=TokenAmount(1),
            gas_premium=TokenAmount(1),
        ),
        "8a004800edeb82bdef98044200000144000186a01961a84200014200010040",
    ),
]


@pytest.mark.parametrize(("message", "data"), SERIALIZED, ids=["random", "f1 to f1", "f0 to f0"])
def test_messages_have_the_networks_bytes(message: Message, data: str) -> None:
    assert message.to_cbor().hex() == data
    assert Message.from_cbor(bytes.fromhex(data)) == message


SECP_SIGNED = SignedMessage(
    replace(SERIALIZED[1][0], gas_limit=Gas(2_500_000)),
    Signature(
        SignatureType.SECP256K1,
        b64decode("0wRrFJZFIVh8m0JD+f5C55YrxD6YAWtCXWYihrPTKdMfgMhYAy86MVhs43hSLXnV+47UReRIe8qFdHRJqFlreAE="),
    ),
)
BLS_SIGNED = SignedMessage(
    Message(
        Address.id(99_999),
        Address.parse("t3sogjuub37grt2tuvvlxbiamthwxenf2dwgq6sn7gpj72c5omg7gojjplsdsovgq6g3aagwerkght3e7boqfq"),
        nonce=55,
        value=TokenAmount(1),
        gas_limit=Gas(1_000_000),
        gas_fee_cap=TokenAmount(100),
        gas_premium=TokenAmount(1),
    ),
    Signature(SignatureType.BLS, bytes(96)),
)


def test_secp256k1_message_cid_is_that_of_signed_message() -> None:
    assert show(SECP_SIGNED.cid()) == "bafy2bzacebaiinljwwctblf7czp4zxwhz4747z6tpricgn5cumd4xhebftcvu"


def test_a_bls_message_goes_by_the_cid_of_the_bare_message() -> None:
    assert show(BLS_SIGNED.cid()) == "bafy2bzacedhl5cowfmp7hq2ke3irf7indry55px44cbbjthazwvpm7ktf676w"


def test_chain_length_counts_only_carried_signatures() -> None:
    # an array head, a byte string head of two bytes, the type, 65 bytes
    assert SECP_SIGNED.chain_length() == len(SECP_SIGNED.message.to_cbor()) + 69
    assert BLS_SIGNED.chain_length() == len(BLS_SIGNED.message.to_cbor())
    delegated = replace(SECP_SIGNED, signature=Signature(SignatureType.DELEGATED, bytes(65)))
    assert delegated.chain_length() == len(SECP_SIGNED.message.to_cbor()) + 69


def test_a_signed_message_survives_its_bytes() -> None:
    for signed in (SECP_SIGNED, BLS_SIGNED):
        assert SignedMessage.from_cbor(signed.to_cbor()) == signed


FIELDS = ["version", "to", "from", "nonce", "value", "gas limit", "gas fee cap", "gas premium", "method", "params"]
WRONG: dict[str, list[Any]] = {
    "version": [-1, "0", None, True, 0.0],
    "to": ["f01", b"", b"\x00", b"\x05\x01", None, 1],
    "from": ["f01", b"", b"\x00\x80\x00", None],
    "nonce": [-1, b"\x01", "1", False, None],
    "value": [1, b"\x02\x01", bytes(129), "1", None],
    "gas limit": [-1, b"", None, 1.0],
    "gas fee cap": [0, b"\xff"],
    "gas premium": [0, b"\x03\x00"],
    "method": [-1, None, "2"],
    "params": [None, "", 0, []],
}


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=repr
)
def test_a_field_of_the_wrong_kind_is_refused_by_its_name(field: str, value: object) -> None:
    fields: list[Any] = decode(SERIALIZED[1][0].to_cbor())
    fields[FIELDS.index(field)] = value
    with pytest.raises(MessageError, match=field):
        Message.from_cbor(encode(fields))


GOOD = SERIALIZED[1][0].to_cbor()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x8a",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\x89" + GOOD[1:-1],
        b"\x8b" + GOOD[1:] + b"\x00",
        b"\x9f" + GOOD[1:] + b"\xff",  # indefinite length
        GOOD.replace(b"\x19\x61\xa8", b"\x1a\x00\x00\x61\xa8"),  # a gas limit that is not minimal
        encode({"To": b"\x00\x01"}),
        encode(b"\x8a"),
    ],
    ids=["empty", "head", "cut", "trailing", "nine", "eleven", "indefinite", "not minimal", "map", "bytes"],
)
def test_bytes_that_are_no_canonical_message_are_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        Message.from_cbor(data)


@pytest.mark.parametrize(
    "fields",
    [
        lambda message: [message],
        lambda message: [message, b""],
        lambda message: [message, b"\x00" + bytes(65)],
        lambda message: [message, b"\x04" + bytes(65)],
        lambda message: [message, "\x01"],
        lambda message: [message, b"\x01" + bytes(65), 0],
        lambda message: [message[:9], b"\x01" + bytes(65)],
    ],
    ids=["no signature", "empty", "type 0", "type 4", "text", "three fields", "short message"],
)
def test_a_signed_message_of_the_wrong_shape_is_refused(fields: Any) -> None:
    with pytest.raises(MessageError):
        SignedMessage.from_cbor(encode(fields(decode(GOOD))))


def test_a_receipt_is_a_tuple_of_four() -> None:
    assert Receipt(0, b"", Gas(0)).to_cbor().hex() == "84004000f6"
    root = parse_cid("bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a")
    assert Receipt(16, b"\x01", Gas(1000), root).to_cbor() == (
        bytes.fromhex("84104101 1903e8 d82a5827 00".replace(" ", "")) + root
    )


def test_receipt_that_names_its_message_is_a_tuple_of_six() -> None:
    """The fields of FIP-0107 in its order, encoded by hand: exit code, return, gas, events root, codec, message."""
    root = parse_cid("bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a")
    message = parse_cid("bafy2bzacecu7n7wbtogznrtuuvf73dsz7wasgyneqasksdblxupnyovmtwxxu")
    link = bytes.fromhex("d82a582700")
    full = Receipt(0, b"\x00\x01\x02\x04", Gas(42), root, 0x51, message)
    assert full.to_cbor() == bytes.fromhex("86004400010204182a") + link + root + b"\x18\x51" + link + message
    bare = Receipt(16, b"", Gas(1000), None, None, message)
    assert bare.to_cbor() == bytes.fromhex("8610401903e8f6f6") + link + message
    for receipt in full, bare:
        assert Receipt.from_fields(decode(receipt.to_cbor())) == receipt


def test_older_receipts_have_fewer_fields() -> None:
    assert Receipt.from_fields([1, b"\x02", 3]) == Receipt(1, b"\x02", Gas(3))  # before FIP-0049
    assert Receipt.from_fields([1, b"\x02", 3, None]) == Receipt(1, b"\x02", Gas(3))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "a receipt is a tuple of three, four or six fields"),
        ([0, b"", 0, None, None], "a receipt is a tuple of three, four or six fields"),
        ([0, b"", 0, None, None, None], "message is null"),
        ([0, b"", 0, None, None, b"a"], "message: expected a link"),
        ([0, b"", 0, b"a"], "events root: expected a link"),
        ([0, b"", 0, None, -1, b"a"], "codec is -1"),
        ([0, "", 0, None], "return is str"),
        ([True, b"", 0, None], "exit code is True"),
        ([0, b"", 1 << 64, None], "gas used is 18446744073709551616"),
    ],
)
def test_malformed_receipt_is_refused(fields: Any, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        Receipt.from_fields(fields)
