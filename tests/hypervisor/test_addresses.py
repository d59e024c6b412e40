"""Addresses and big integers.

- Addresses, compared with test values of go-address and ref-fvm, and invalid addresses.
- Big integers in chain encoding: a sign byte and a magnitude (ref-fvm shared/src/bigint).
"""

from base64 import b32encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import AddressError, MessageError
from hypervisor.messages.address import MAX_SUBADDRESS, Address, Protocol, is_eth_namespace
from hypervisor.types import decode_bigint, decode_uleb128, encode_bigint, encode_uleb128

ID_TEXTS = {0: "f00", 1: "f01", 10: "f010", 150: "f0150", 499: "f0499", 1024: "f01024", 999_999: "f0999999"}

SECP256K1_KEYS = {  # go-address: public key -> text
    "049402fac37e6432a416a3a0ca5426b5185ab3b24f6134efa25ce487c82d2e4e13bf452511e0d2245421f8613bc10d72fa216666a96c3bc13920"
    "d3ff233fd0bc05": "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq",
    "047687b910379bf28cbe3aea674b12000c6b7dba46ffc05f6c94fe2a22bbcc2602ff7f5c76f21ca55d36959152b0e1e887917c393576eef093f6"
    "1ebd3ad06f7fda": "f12fiakbhe2gwd5cnmrenekasyn6v5tnaxaqizq6a",
}

ACTOR_SEEDS = {  # go-address: the bytes that were hashed -> text
    "76128190cdf068d1418044acc03e0b6781970d60": "f24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i",
    "2cafb8e2e06bba98ea657c5cf5f42023aa23e88e": "f25nml2cfbljvn4goqtclhifepvfnicv6g7mfmmvq",
    "022c9e0ea29d8f40c56abec35c8d587da0a64c18": "f2nuqrg7vuysaue2pistjjnt3fadsdzvyuatqtfei",
    "3d3a89e8ddab547832716c6d468c3560c9f47fd8": "f2gfvuyh7v2sx3patm5k23wdzmhyhtmqctasbr23y",
}

BLS_KEYS = {  # go-address: public key -> text
    "ad58df696e2d4e91ea86c881e938ba4ea81b395e12797b84b9cf314b9546705e839c7a99d606b247ddb4f9ac7a3414dd": (
        "f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a"
    ),
    "b3294f0a2e29e0c66ebc235d2fedca5697bf784af605c75af608e6a63d5cd38ea85ca8989e0efde9188b382f9372460d": (
        "f3wmuu6crofhqmm3v4enos73okk2l366ck6yc4owxwbdtkmpk42ohkqxfitcpa57pjdcftql4tojda2poeruwa"
    ),
}

DELEGATED = {  # ref-fvm and go-address: namespace, subaddress -> text
    (32, "ffffffffff"): "f432f77777777x32lpna",
    (2**64 - 1, ""): "f418446744073709551615ftnkyfaq",
    (2**63 - 1, ""): "f49223372036854775807fiic6zsy",
    (2**64 - 1, "00" * 54): (
        "f418446744073709551615faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaafbbuagu"
    ),
    (2**63 - 1, "00" * 54): (
        "f49223372036854775807faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaahwgiuam"
    ),
}


@pytest.mark.parametrize(("number", "text"), ID_TEXTS.items())
def test_id_addresses_have_the_networks_text(number: int, text: str) -> None:
    address = Address.id(number)
    assert str(address) == text
    assert Address.parse(text) == address
    assert address.actor_id() == number


@pytest.mark.parametrize(("key", "text"), SECP256K1_KEYS.items())
def test_a_secp256k1_key_has_the_networks_address(key: str, text: str) -> None:
    assert str(Address.secp256k1(bytes.fromhex(key))) == text


@pytest.mark.parametrize(("seed", "text"), ACTOR_SEEDS.items())
def test_an_actor_address_is_derived_as_the_network_does(seed: str, text: str) -> None:
    assert str(Address.actor(bytes.fromhex(seed))) == text


@pytest.mark.parametrize(("key", "text"), BLS_KEYS.items())
def test_a_bls_key_is_its_own_address(key: str, text: str) -> None:
    address = Address.bls(bytes.fromhex(key))
    assert str(address) == text
    assert Address.parse(text).payload.hex() == key


@pytest.mark.parametrize(("parts", "text"), DELEGATED.items(), ids=str)
def test_delegated_addresses_have_the_networks_text(parts: tuple[int, str], text: str) -> None:
    namespace, subaddress = parts
    address = Address.delegated(namespace, bytes.fromhex(subaddress))
    assert str(address) == text
    assert Address.parse(text) == address
    assert (address.namespace(), address.subaddress().hex()) == parts


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("f00", "0000"),
        ("f01", "0001"),
        ("f010", "000a"),
        ("f0150", "009601"),
        ("f01024", "008008"),
        ("f018446744073709551615", "00ffffffffffffffffff01"),
    ],
)
def test_id_addresses_have_the_networks_bytes(text: str, data: str) -> None:
    assert Address.parse(text).to_bytes().hex() == data
    assert str(Address.from_bytes(bytes.fromhex(data))) == text


def test_testnet_prefix_parses_to_the_same_address() -> None:
    assert Address.parse("t24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i") == Address.parse(
        "f24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i"
    )


def test_only_namespace_ten_is_ethereums() -> None:
    assert is_eth_namespace(Address.delegated(10, bytes(20)))
    assert not is_eth_namespace(Address.delegated(32, bytes(20)))
    assert not is_eth_namespace(Address.id(10))


def test_other_protocols_have_no_namespace_and_no_subaddress() -> None:
    address = Address.parse("f24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i")
    assert (address.namespace(), address.subaddress(), address.actor_id()) == (None, b"", None)


WRONG_TEXTS = {
    "unknown network": "Q2gfvuyh7v2sx3patm5k23wdzmhyhtmqctasbr23y",
    "unknown protocol": "f5gfvuyh7v2sx3patm5k23wdzmhyhtmqctasbr23y",
    "wrong checksum": "f2gfvuyh7v2sx3patm5k23wdzmhyhtmqctasbr24y",
    "ID too long": "f0banananananannnnnnnnn",
    "ID not decimal": "f0banananananannnnnn",
    "a digit that is none of base32": "f2gfvuyh7v2sx3patm1k23wdzmhyhtmqctasbr24y",
    "upper case": "f2gfvuyh7v2sx3paTm5k23wdzmhyhtmqctasbr23y",
    "too short": "f2",
    "payload too short": "f1mzxqu",
    "one letter": "f",
    "empty": "",
    "far too long": "a" * 139,
    "trailing bits": "f1xpbyy4tkdx5si2bgo37dubc2xwv6fum5tk57mid",
    "padding": "f24vg6ut43yw2h2jqydgbg2xq7x6f4kub3bg6as6i======",
    "ID of 65 bits": "f018446744073709551616",
    "signed ID": "f0+5",
    "digits of another script": "f0١",
    "f4 without separator": "f432",
    "f4 namespace of 65 bits": "f418446744073709551616ftnkyfaq",
    "a letter that grows in upper case": "f2ß" + "a" * 37,
}


@pytest.mark.parametrize("text", WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


@pytest.mark.parametrize("text", ["f01x", "f4xfabc"])
def test_error_for_an_invalid_number_quotes_the_whole_address(text: str) -> None:
    with pytest.raises(AddressError, match=f"in '{text}' is not a valid"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("protocol", "payload_and_checksum"), [(1, 24), (2, 24), (3, 52)], ids=["f1", "f2", "f3"]
)  # fmt: skip
@pytest.mark.parametrize("off_by", [-1, 0, 1])
def test_text_without_the_right_length_or_checksum_is_refused(
    protocol: int, payload_and_checksum: int, off_by: int
) -> None:
    body = b32encode(b"a" * (payload_and_checksum + off_by)).decode().lower().rstrip("=")
    with pytest.raises(AddressError):
        Address.parse(f"f{protocol}{body}")


WRONG_BYTES = {
    "empty": b"",
    "protocol alone": b"\x00",
    "unknown protocol": b"\x05\x04\x04",
    "f0 cut short": b"\x00\x80",
    "f0 not minimal": b"\x00\x80\x00",
    "f0 with bytes behind": b"\x00\x01\x01",
    "f0 of eleven bytes": b"\x00" + b"\x80" * 10 + b"\x01",
    "f1 of 19": b"\x01" + bytes(19),
    "f1 of 21": b"\x01" + bytes(21),
    "f2 of 19": b"\x02" + bytes(19),
    "f2 of 21": b"\x02" + bytes(21),
    "f3 of 47": b"\x03" + bytes(47),
    "f3 of 49": b"\x03" + bytes(49),
    "f4 namespace cut short": b"\x04\xff",
    "f4 namespace not minimal": b"\x04\x8a\x00" + bytes(20),
    "f4 subaddress of 55": b"\x04\x00" + b"\xff" * 55,
    "66 bytes": b"\x04\x0a" + bytes(64),
}


@pytest.mark.parametrize("data", WRONG_BYTES.values(), ids=WRONG_BYTES)
def test_bytes_that_are_no_address_are_refused(data: bytes) -> None:
    with pytest.raises(AddressError):
        Address.from_bytes(data)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Address.id(-1),
        lambda: Address.id(1 << 64),
        lambda: Address.secp256k1(bytes(33)),
        lambda: Address.bls(bytes(96)),
        lambda: Address.delegated(10, bytes(MAX_SUBADDRESS + 1)),
        lambda: Address.delegated(1 << 64, b""),
        lambda: Address.delegated(-1, b""),
    ],
)
def test_address_constructors_refuse_out_of_range_values(build: Callable[[], Address]) -> None:
    with pytest.raises(AddressError):
        build()


def addresses() -> st.SearchStrategy[Address]:
    u64 = st.integers(0, 2**64 - 1)
    return st.one_of(
        st.builds(Address.id, u64),
        st.builds(Address.actor, st.binary()),
        st.builds(Address.secp256k1, st.binary(min_size=65, max_size=65)),
        st.builds(Address.bls, st.binary(min_size=48, max_size=48)),
        st.builds(Address.delegated, u64, st.binary(max_size=MAX_SUBADDRESS)),
    )


@given(addresses(), st.data())
def test_one_changed_letter_never_passes_the_checksum(address: Address, data: st.DataObject) -> None:
    text = str(address)
    if address.protocol is Protocol.ID:
        return
    start = text.index("f", 1) + 1 if address.protocol is Protocol.DELEGATED else 2
    at = data.draw(st.integers(start, len(text) - 1))
    letter = data.draw(st.sampled_from([c for c in "abcdefghijklmnopqrstuvwxyz234567" if c != text[at]]))
    with pytest.raises(AddressError):
        Address.parse(text[:at] + letter + text[at + 1 :])


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4))
def test_uleb128_numbers_survive_and_end_where_they_end(number: int, rest: bytes) -> None:
    encoded = encode_uleb128(number)
    assert decode_uleb128(encoded + rest) == (number, len(encoded))


@pytest.mark.parametrize(("number", "data"), [(0, "00"), (127, "7f"), (128, "8001"), (624_485, "e58e26")])
def test_uleb128_equals_the_textbook(number: int, data: str) -> None:
    assert encode_uleb128(number).hex() == data


def test_id_bits_beyond_64_are_dropped_as_on_network() -> None:
    # golden vector actor/resolve/id-too-large: ref-fvm's decoder shifts them out of the tenth byte
    assert Address.from_bytes(b"\x00" + b"\xff" * 9 + b"\x02") == Address.id((1 << 63) - 1)
    assert Address.from_bytes(b"\x04" + b"\x8a" + b"\x80" * 8 + b"\x7e" + bytes(20)) == Address.delegated(10, bytes(20))


@pytest.mark.parametrize("text", ["f1abc", "f410fq", "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3z"])
def test_text_of_a_length_that_base32_does_not_have_is_called_too_short_or_long(text: str) -> None:
    with pytest.raises(AddressError, match="has an invalid length: characters are missing or added"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, ""),
        (1, "0001"),
        (-1, "0101"),
        (255, "00ff"),
        (-256, "010100"),
        (10**18, "000de0b6b3a7640000"),
        (14_660_210_602_831_582_403, "00cb7387dec23114c3"),  # from the network's serialization vectors
    ],
)
def test_numbers_have_the_networks_bytes(number: int, data: str) -> None:
    assert encode_bigint(number).hex() == data
    assert decode_bigint(bytes.fromhex(data)) == number


def test_signed_zero_and_leading_zeros_decode_as_on_network() -> None:
    assert decode_bigint(b"\x00") == decode_bigint(b"\x01") == decode_bigint(b"\x00\x00") == 0
    assert decode_bigint(b"\x00\x00\x07") == 7


@pytest.mark.parametrize("data", [b"\x02\x01", bytes(129), 5, None, "00", [0]])
def test_invalid_bigint_is_rejected(data: object) -> None:
    with pytest.raises(MessageError):
        decode_bigint(data)


def test_the_limit_is_128_bytes_sign_included() -> None:
    largest = (1 << 127 * 8) - 1
    assert decode_bigint(encode_bigint(largest)) == largest
    with pytest.raises(MessageError, match="too big"):
        encode_bigint(largest + 1)


@given(st.integers(-(1 << 1000), 1 << 1000))
def test_every_number_survives(number: int) -> None:
    assert decode_bigint(encode_bigint(number)) == number
