"""Hashes and signatures in the kernel: standard digests, charges, errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hypervisor.address import Address
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.message import signing_digest
from tests.hypervisor.test_signatures import (
    AGGREGATE_OF_NONE,
    BLS,
    SECP_MESSAGE,
    SECP_SIGNATURE,
    SECP_SIGNER,
    aggregate,
)
from tests.hypervisor.world import GAS, World, refused, used

SECP, BLS_TYPE = 1, 2
SECP_PRICE, BLS_PRICE, PAIRING = 1_637_292, 16_598_605, 8_299_302

DIGESTS_OF_ABC = {
    0x12: ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 7),
    0xB220: ("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319", 10),
    0xB240: (
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925a"
        "b92386edd4009923",
        10,
    ),
    0x1B: ("4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45", 33),
    0x1053: ("8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", 35),
}
"""Published digests of b"abc" by multihash code, with the gas per byte."""


@pytest.mark.parametrize(("code", "digest", "gas"), [(c, d, g) for c, (d, g) in DIGESTS_OF_ABC.items()])
def test_a_hash_is_the_standards_and_priced_by_the_byte(code: int, digest: str, gas: int) -> None:
    kernel = World().kernel()
    assert kernel.crypto.hash(code, b"abc").hex() == digest
    assert used(kernel, lambda: kernel.crypto.hash(code, bytes(1_000))) == 1_000 * gas * GAS
    assert used(kernel, lambda: kernel.crypto.hash(code, b"")) == 0


@pytest.mark.parametrize("code", [0, 0x11, 0x13, 0xB221, 0x1012, 1 << 63])
def test_another_hash_is_an_illegal_argument_and_free(code: int) -> None:
    kernel = World().kernel()
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.crypto.hash(code, b"abc")) == 0


@pytest.mark.parametrize("network", [18, 21, 28])
def test_a_secp256k1_signature_is_verified_for_its_price(network: int) -> None:
    kernel, text = World(network).kernel(), SECP_MESSAGE.cid()
    price = (SECP_PRICE + 10 * len(text)) * GAS
    verify = kernel.crypto.verify_signature
    assert used(kernel, lambda: verify(SECP, SECP_SIGNATURE, SECP_SIGNER, text)) == price
    assert verify(SECP, SECP_SIGNATURE, SECP_SIGNER, text)
    assert not verify(SECP, SECP_SIGNATURE[:-1], SECP_SIGNER, text)


def test_a_bls_signature_is_verified_for_its_price() -> None:
    kernel = World().kernel()
    signer, text, signature = BLS[0]
    price = (BLS_PRICE + 26 * len(text)) * GAS
    assert used(kernel, lambda: kernel.crypto.verify_signature(BLS_TYPE, signature, signer, text)) == price
    assert kernel.crypto.verify_signature(BLS_TYPE, signature, signer, text)
    assert not kernel.crypto.verify_signature(BLS_TYPE, signature[:-1], signer, text)


def test_a_type_and_a_signer_of_different_kinds_never_verify() -> None:
    kernel = World().kernel()
    assert not kernel.crypto.verify_signature(SECP, BLS[0][2], BLS[0][0], BLS[0][1])
    assert not kernel.crypto.verify_signature(BLS_TYPE, SECP_SIGNATURE, SECP_SIGNER, SECP_MESSAGE.cid())


@pytest.mark.parametrize("number", [0, 3, 4, 255])
def test_unknown_signature_type_is_free_illegal_argument(number: int) -> None:
    kernel = World().kernel()
    check = kernel.crypto.verify_signature
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: check(number, SECP_SIGNATURE, SECP_SIGNER, b"")) == 0


@pytest.mark.parametrize("signer", [Address.id(100), Address.actor(b"x"), Address.delegated(10, bytes(20))], ids=str)
@pytest.mark.parametrize(("number", "gas"), [(SECP, SECP_PRICE + 50), (BLS_TYPE, BLS_PRICE + 130)])
def test_signer_without_key_is_charged_illegal_argument(signer: Address, number: int, gas: int) -> None:
    kernel = World().kernel()
    check = kernel.crypto.verify_signature
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: check(number, b"", signer, b"12345")) == gas * GAS


def test_a_verification_that_cannot_be_paid_ends_the_message() -> None:
    kernel = World().kernel(limit=SECP_PRICE * GAS)
    with pytest.raises(OutOfGas):
        kernel.crypto.verify_signature(SECP, SECP_SIGNATURE, SECP_SIGNER, b"1")


def test_a_public_key_is_recovered_for_its_price() -> None:
    kernel = World().kernel()
    digest = signing_digest(SECP_MESSAGE)
    assert used(kernel, lambda: kernel.crypto.recover_secp_public_key(digest, SECP_SIGNATURE)) == SECP_PRICE * GAS
    key = kernel.crypto.recover_secp_public_key(digest, SECP_SIGNATURE)
    assert Address.secp256k1(key) == SECP_SIGNER


@pytest.mark.parametrize("signature", [bytes(65), SECP_SIGNATURE[:64] + b"\x04", b"\xff" * 65], ids=repr)
def test_signature_without_key_is_charged_illegal_argument(signature: bytes) -> None:
    kernel = World().kernel()
    recover = kernel.crypto.recover_secp_public_key
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: recover(bytes(32), signature)) == SECP_PRICE * GAS


def verify_aggregate(kernel: Kernel, signature: bytes, keys: Sequence[bytes], texts: Sequence[bytes]) -> bool:
    return kernel.crypto.verify_bls_aggregate(signature, keys, b"".join(texts), [len(text) for text in texts])


def test_an_aggregate_is_verified_for_its_pairings_and_bytes() -> None:
    kernel = World().kernel()
    keys, texts = [signer.payload for signer, _, _ in BLS], [text for _, text, _ in BLS]
    price = (PAIRING * 3 + 7 * sum(map(len, texts))) * GAS
    assert used(kernel, lambda: verify_aggregate(kernel, aggregate(), keys, texts)) == price
    assert verify_aggregate(kernel, aggregate(), keys, texts)
    assert not verify_aggregate(kernel, aggregate(), keys, [texts[0], texts[1] + b"\x00"])


def test_empty_aggregate_is_valid_and_charged_one_pairing() -> None:
    kernel = World().kernel()
    assert used(kernel, lambda: verify_aggregate(kernel, AGGREGATE_OF_NONE, [], [])) == PAIRING * GAS
    assert verify_aggregate(kernel, AGGREGATE_OF_NONE, [], [])


@pytest.mark.parametrize("lengths", [[1, 1], [2, 2], [3, 1 << 32]])
def test_mismatched_message_lengths_are_refused_after_charge(lengths: list[int]) -> None:
    # ref-fvm kernel/default.rs `verify_bls_aggregate`: charged by total bytes, then split into plaintexts
    kernel = World().kernel()
    keys = [signer.payload for signer, _, _ in BLS]

    def verify() -> bool:
        return kernel.crypto.verify_bls_aggregate(aggregate(), keys, b"abc", lengths)

    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, verify) == (PAIRING * 3 + 7 * 3) * GAS
