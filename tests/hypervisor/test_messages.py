"""Messages and signatures.

- Messages, signed messages and receipts: encodings, CIDs, and invalid input.
- Signatures by other implementations.

Expected bytes and CIDs are from the network's serialization vectors and the test vectors of Zondax' signing tools.

From the network's serialization vectors, Zondax' signing tools, Ethereum's recovery test, py_ecc, and the deals that
storage clients signed on the main network (in the official vectors). In the kernel, the golden file of crypto has the
errors, and the charges from network version 21 on.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_keys.backends.native.ecdsa import ecdsa_raw_recover
from eth_keys.datatypes import PrivateKey
from eth_keys.exceptions import BadSignature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypervisor.errors import MessageError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage, signing_digest
from hypervisor.messages.signatures import (
    public_key,
    recover,
    recover_secp256k1,
    sign,
    sign_secp256k1,
    verify_bls,
    verify_bls_aggregate,
    verify_secp256k1,
)
from hypervisor.types import Gas, MethodNumber, TokenAmount
from store.cid import parse_cid, show
from store.codec import decode, encode
from store.keccak import keccak
from tests.conftest import data_file, samples
from tests.hypervisor.world import GAS, World, used

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


SECP_KEY = b64decode("8VcW07ADswS4BV2cxi5rnIadVsyTDDhY1NfDH19T8Uo=")
SECP_SIGNER = Address.parse("t1d2xrzcslx7xlbbylc5c3d5lvandqw4iwl6epxba")
SECP_MESSAGE = Message(
    Address.parse("t17uoq6tp427uzv7fztkbsnn64iwotfrristwpryy"),
    SECP_SIGNER,
    nonce=1,
    value=TokenAmount(100_000),
    gas_limit=Gas(25_000),
    gas_fee_cap=TokenAmount(1),
    gas_premium=TokenAmount(1),
)
SECP_SIGNATURE = b64decode("nFuTI7MxEXqTQ0QmmQTmqbUsNZfHFXlNjz+susVDkAk1SrRCdJKxlVZZrM4vUtVBSYgtMIeigNfpqdKGIFhoWQA=")

BLS = [  # signer, CID of the message, signature
    (
        Address.parse("t3sogjuub37grt2tuvvlxbiamthwxenf2dwgq6sn7gpj72c5omg7gojjplsdsovgq6g3aagwerkght3e7boqfq"),
        parse_cid("bafy2bzacedhl5cowfmp7hq2ke3irf7indry55px44cbbjthazwvpm7ktf676w"),
        b64decode(
            "sYHUj6N7Cb86A8pTPyaB82zdeemyHd+tZU4Vdsm6bz2GlaeLC5tsc3SX1Q7Fr5pRA5gXhcx4ID+vDqDVO7ZAnToKaWeZ2Wr28S+b4tGWOwqY"
            "Hx8jkkvklyyNJ5wK4bq+"
        ),
    ),
    (
        Address.parse("t3unbjghaftrz676njfgakmfwvirbu5kxpafb57ex2s4sd7p2e5un2mru5fn3l2hnahcqsxtvwxy5j2cdtlaaa"),
        parse_cid("bafy2bzacecc7ctbgv5h65b7xltqr7m7zr5n2wiaqtexkuurbdqcm4z3talhua"),
        b64decode(
            "kfeQ7eyQ+Rs3jgv2igh2w5H4z8+laQXttg68Q5hPsf1vluiOjXFWELS1HrMqR7xaDR6Q2yjXLDdmxm+JsFr6MNSUbdDBBXsiH9aTUyxc3cA9"
            "Li5QZ0ed2k/oKHPhpeDh"
        ),
    ),
]
AGGREGATE_OF_NONE = bytes([0xC0]) + bytes(95)


def test_a_secp256k1_signature_of_a_message_verifies() -> None:
    assert verify_secp256k1(SECP_SIGNATURE, SECP_SIGNER, SECP_MESSAGE.cid())


def test_secp256k1_signature_matches_other_wallets() -> None:
    assert sign_secp256k1(SECP_KEY, SECP_MESSAGE.cid()) == SECP_SIGNATURE


def test_signing_digest_recovers_signer_key() -> None:
    key = recover_secp256k1(signing_digest(SECP_MESSAGE), SECP_SIGNATURE)
    assert key is not None
    assert Address.secp256k1(key) == SECP_SIGNER


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64])
def test_a_changed_secp256k1_signature_does_not_verify(at: int) -> None:
    changed = bytearray(SECP_SIGNATURE)
    changed[at] ^= 1
    assert not verify_secp256k1(bytes(changed), SECP_SIGNER, SECP_MESSAGE.cid())


def test_a_secp256k1_signature_holds_for_one_signer_and_one_text() -> None:
    assert not verify_secp256k1(SECP_SIGNATURE, SECP_MESSAGE.to, SECP_MESSAGE.cid())
    assert not verify_secp256k1(SECP_SIGNATURE, BLS[0][0], SECP_MESSAGE.cid())
    assert not verify_secp256k1(SECP_SIGNATURE, SECP_SIGNER, SECP_MESSAGE.cid() + b"\x00")


def test_recovery_takes_a_high_s_as_ethereum_does() -> None:
    # Ethereum's ecrecover test, s above half the group order
    digest = bytes.fromhex("18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c")
    signature = bytes.fromhex(
        "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
        "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c454901"
    )
    key = recover_secp256k1(digest, signature)
    assert key is not None
    assert keccak(key[1:])[12:].hex() == "a94f5374fce5edbc8e2a8697c15331677e6ebf0b"


_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        bytes(65),
        bytes(66),
        SECP_SIGNATURE[:64] + b"\x04",
        SECP_SIGNATURE[:64] + b"\x1b",
        _ORDER.to_bytes(32, "big") + SECP_SIGNATURE[32:],
        SECP_SIGNATURE[:32] + _ORDER.to_bytes(32, "big") + b"\x00",
        bytes(32) + SECP_SIGNATURE[32:],
        SECP_SIGNATURE[:32] + bytes(33),
        (5).to_bytes(32, "big") + SECP_SIGNATURE[32:],  # 5 is not an x coordinate on the curve
        b"\xff" * 65,
    ],
    ids=["empty", "64", "zeros", "66", "v 4", "v 27", "r = n", "s = n", "r = 0", "s = 0", "no point", "ones"],
)
def test_invalid_secp256k1_signature_recovers_nothing(signature: bytes) -> None:
    assert recover_secp256k1(bytes(32), signature) is None
    assert not verify_secp256k1(signature, SECP_SIGNER, b"text")


def test_recovery_wants_a_digest_of_32_bytes() -> None:
    assert recover_secp256k1(bytes(31), SECP_SIGNATURE) is None


@pytest.mark.parametrize(("signer", "text", "signature"), BLS, ids=["first", "second"])
def test_a_bls_signature_of_a_message_verifies(signer: Address, text: bytes, signature: bytes) -> None:
    assert verify_bls(signature, signer, text)
    assert not verify_bls(signature, signer, text + b"\x00")
    assert not verify_bls(signature, SECP_SIGNER, text)


def test_a_bls_signature_of_another_key_does_not_verify() -> None:
    assert not verify_bls(BLS[1][2], BLS[0][0], BLS[0][1])
    assert not verify_bls(BLS[0][2], BLS[1][0], BLS[0][1])


def aggregate() -> bytes:
    """Return both signatures aggregated by py_ecc."""
    from eth_typing import BLSSignature
    from py_ecc.bls.ciphersuites import G2Basic

    return bytes(G2Basic.Aggregate([BLSSignature(signature) for _, _, signature in BLS]))


def test_external_aggregate_verifies_for_its_keys_and_messages() -> None:
    keys, texts = [signer.payload for signer, _, _ in BLS], [text for _, text, _ in BLS]
    assert verify_bls_aggregate(aggregate(), keys, texts)
    assert not verify_bls_aggregate(aggregate(), keys[::-1], texts)
    assert not verify_bls_aggregate(aggregate(), keys[:1], texts[:1])
    assert not verify_bls_aggregate(BLS[0][2], keys, texts)


def test_empty_bls_aggregate_verifies_with_any_bytes() -> None:
    assert verify_bls_aggregate(AGGREGATE_OF_NONE, [], [])
    assert verify_bls_aggregate(bytes(96), [], [])


@pytest.mark.slow
def test_duplicate_messages_invalidate_bls_aggregate() -> None:
    from py_ecc.bls.ciphersuites import G2Basic

    keys = [bytes(G2Basic.SkToPk(secret)) for secret in (5, 7)]
    signatures = [G2Basic.Sign(secret, b"text") for secret in (5, 7)]
    assert all(verify_bls_aggregate(bytes(one), [key], [b"text"]) for key, one in zip(keys, signatures, strict=True))
    assert not verify_bls_aggregate(bytes(G2Basic.Aggregate(signatures)), keys, [b"text", b"text"])


def test_identity_public_key_verifies_no_signature() -> None:
    identity = bytes([0xC0]) + bytes(47)
    assert not verify_bls_aggregate(AGGREGATE_OF_NONE, [identity], [b"text"])


# x = 4 is a point of the curve y^2 = x^3 + 4 outside the subgroup of the keys (checked with py_ecc)
_OUTSIDE_SUBGROUP = bytes([0x80]) + bytes(46) + bytes([4])


@pytest.mark.parametrize("key", [b"", bytes(47), bytes(48), b"\xff" * 48, _OUTSIDE_SUBGROUP], ids=repr)
def test_bls_aggregate_with_invalid_key_does_not_verify(key: bytes) -> None:
    assert not verify_bls_aggregate(BLS[0][2], [key], [BLS[0][1]])


@pytest.mark.parametrize("signature", [b"", bytes(95), bytes(96), b"\xff" * 96, AGGREGATE_OF_NONE], ids=repr)
def test_a_bls_signature_that_is_no_point_of_the_signer_is_none(signature: bytes) -> None:
    assert not verify_bls(signature, BLS[0][0], BLS[0][1])


def recorded_deals() -> Iterator[tuple[str, Address, bytes, bytes]]:
    """Return deals accepted by the market actor on the main network: name, client, proposal, signature with type."""
    for path in sorted(data_file("vectors/fvm-nv18/fil_10_storagemarket/PublishStorageDeals").rglob("*.json")):
        vector: dict[str, Any] = json.loads(path.read_text())
        message = Message.from_cbor(b64decode(vector["apply_messages"][0]["bytes"]))
        for proposal, signature in decode(message.params)[0]:
            yield path.stem, Address.from_bytes(proposal[3]), encode(proposal), signature


def test_deals_signed_on_mainnet_verify() -> None:
    deals = list(recorded_deals())
    assert len(deals) >= 50
    for name, client, proposal, signature in deals:
        assert signature[0] == 1, name
        assert verify_secp256k1(signature[1:], client, proposal), name
        assert not verify_secp256k1(signature[1:], client, proposal[:-1]), name


@pytest.mark.parametrize("network", [18, 21, 28])
def test_a_secp256k1_signature_is_verified_for_its_price(network: int) -> None:
    kernel, text = World(network).kernel(), SECP_MESSAGE.cid()
    price = (1_637_292 + 10 * len(text)) * GAS
    verify = kernel.crypto.verify_signature
    secp256k1 = 1
    assert used(kernel, lambda: verify(secp256k1, SECP_SIGNATURE, SECP_SIGNER, text)) == price
    assert verify(secp256k1, SECP_SIGNATURE, SECP_SIGNER, text)
    assert not verify(secp256k1, SECP_SIGNATURE[:-1], SECP_SIGNER, text)


ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = (1 << 256) - (1 << 32) - 977
WORDS = st.binary(min_size=32, max_size=32)
NUMBERS = st.sampled_from(
    [0, 1, 2, 7, ORDER // 2, ORDER - 1, ORDER, FIELD - ORDER - 1, FIELD, (1 << 256) - 1]
) | st.integers(0, (1 << 256) - 1)


def recovered_by_eth_keys(digest: bytes, r: int, s: int, v: int) -> bytes | None:
    """Recover the public key (SEC 1, 4.1.6); eth_keys takes the x of the point in place of r, and checks no ranges."""
    x = r + ORDER * (v >> 1)
    if not (r < ORDER and s < ORDER and x < FIELD and v < 4):
        return None
    try:
        return b"\4" + ecdsa_raw_recover(digest, (v & 1, x, s))
    except BadSignature:
        return None


@pytest.mark.slow
@given(st.integers(1, ORDER - 1), WORDS)
@settings(max_examples=samples(200), deadline=None)
def test_signature_equals_eth_keys_and_recovers_key(number: int, digest: bytes) -> None:
    secret = number.to_bytes(32)
    theirs = PrivateKey(secret)
    signature = sign(secret, digest)
    assert signature == theirs.sign_msg_hash(digest).to_bytes()
    assert recover(digest, signature) == public_key(secret) == b"\4" + theirs.public_key.to_bytes()


@pytest.mark.slow
@given(WORDS, NUMBERS, NUMBERS, st.integers(0, 5))
@settings(max_examples=samples(800), deadline=None)
@example(bytes(32), 1, 1, 0)
@example(bytes(32), 1, 1, 2)
@example(bytes(32), FIELD - ORDER - 1, 1, 3)
def test_any_signature_recovers_as_with_eth_keys(digest: bytes, r: int, s: int, v: int) -> None:
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([v])
    assert recover(digest, signature) == recovered_by_eth_keys(digest, r, s, v)


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32), b"\xff" * 32, b"", b"\x01" * 31, b"\x01" * 33])
def test_bytes_that_are_no_key_are_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        public_key(secret)
    with pytest.raises(ValueError, match="key"):
        sign(secret, bytes(32))
