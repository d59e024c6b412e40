"""Ethereum addresses: masked IDs, f410, and the addresses of contracts made by CREATE and CREATE2."""

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import (
    ZERO_ADDRESS,
    EthAddress,
    create2_address,
    create_address,
    eth_address,
    from_delegated,
    masked_id,
    to_ethereum,
    to_filecoin,
    unmask_id,
    word_to_address,
)
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from hypervisor.types import ActorID

rlp = pytest.importorskip("rlp")

actor_ids = st.integers(0, 2**64 - 1)
eth_addresses = st.binary(min_size=20, max_size=20).map(EthAddress)
unmasked = eth_addresses.filter(lambda address: unmask_id(address) is None)


def test_the_zero_address_is_the_f410_address_of_the_facts() -> None:
    assert str(to_filecoin(ZERO_ADDRESS)) == "f410faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaonc6iji"


@pytest.mark.parametrize(
    ("text", "actor"),
    [
        ("ff00000000000000000000000000000000000000", 0),
        ("ff00000000000000000000000000000000000064", 100),
        ("ff0000000000000000000000ffffffffffffffff", 2**64 - 1),
    ],
)
def test_a_masked_id_names_an_id_address(text: str, actor: int) -> None:
    address = eth_address(bytes.fromhex(text))
    assert unmask_id(address) == actor
    assert to_filecoin(address) == Address.id(actor)
    assert masked_id(actor) == address


def test_an_address_with_a_bit_in_the_mask_is_no_masked_id() -> None:
    address = eth_address(bytes.fromhex("ff00000000000000000000010000000000000064"))
    assert unmask_id(address) is None
    assert to_filecoin(address) == Address.delegated(10, address)


@given(actor_ids)
def test_masking_an_id_is_reversible(actor: int) -> None:
    assert unmask_id(masked_id(actor)) == actor


@given(unmasked)
def test_unmasked_address_round_trips_through_filecoin(address: EthAddress) -> None:
    assert from_delegated(to_filecoin(address)) == address
    assert to_ethereum(ActorID(7), to_filecoin(address)) == address


@given(eth_addresses, st.integers(0, (1 << 96) - 1))
def test_the_upper_twelve_bytes_of_a_word_do_not_matter(address: EthAddress, upper: int) -> None:
    word = upper << 160 | int.from_bytes(address, "big")
    assert word_to_address(word) == address


@pytest.mark.parametrize(
    "delegated",
    [
        None,
        Address.delegated(11, bytes(20)),
        Address.delegated(10, bytes(19)),
        Address.delegated(10, masked_id(5)),
        Address.id(5),
    ],
    ids=["none", "other namespace", "short", "masked payload", "not delegated"],
)
def test_an_actor_without_a_usable_f410_is_seen_by_its_masked_id(delegated: Address | None) -> None:
    assert from_delegated(delegated) is None
    assert to_ethereum(ActorID(5), delegated) == masked_id(5)


@pytest.mark.parametrize(
    ("sender", "nonce", "created"),
    [
        ("00" * 20, 0, "bd770416a3345f91e4b34576cb804a576fa48eb1"),
        ("00" * 20, 200, "a6b14387c1356b443061155e9c3e17f72c1777e5"),
        ("7b" * 20, 12345, "809a9ab0471e78ee5100e96ca4d0828d1b97e2ba"),
    ],
)
def test_create_puts_contracts_where_the_address_manager_does(sender: str, nonce: int, created: str) -> None:
    assert create_address(eth_address(bytes.fromhex(sender)), nonce).hex() == created


@pytest.mark.parametrize(
    ("sender", "salt", "init_code", "created"),
    [
        ("00" * 20, "00" * 32, b"", "e33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"),
        ("99" * 20, "42" * 32, b"foobar", "64425c93a90901271fa355c2bc462190803b97d4"),
    ],
)
def test_create2_puts_contracts_where_the_address_manager_does(
    sender: str, salt: str, init_code: bytes, created: str
) -> None:
    address = create2_address(eth_address(bytes.fromhex(sender)), bytes.fromhex(salt), init_code)
    assert address.hex() == created


@given(eth_addresses, st.integers(0, 2**64 - 1))
def test_create_addresses_are_the_rlp_rule(sender: EthAddress, nonce: int) -> None:
    assert create_address(sender, nonce) == keccak(rlp.encode([sender, nonce]))[12:]


@pytest.mark.parametrize("data", [b"", bytes(19), bytes(21)])
def test_an_address_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(AddressError, match="20 bytes"):
        eth_address(data)


@pytest.mark.parametrize("actor", [-1, 2**64])
def test_a_number_beyond_64_bits_cannot_be_masked(actor: int) -> None:
    with pytest.raises(AddressError):
        masked_id(actor)
    with pytest.raises(AddressError):
        create_address(ZERO_ADDRESS, actor)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(AddressError, match="salt"):
        create2_address(ZERO_ADDRESS, bytes(31), b"")
