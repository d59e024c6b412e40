"""Blobs and KZG proofs.

- Blob transactions in the network form: decoding, and the checks of a sidecar; proofs are made by c-kzg.
- KZG proofs, verified as c-kzg (`ckzg`) makes and verifies them.
"""

from dataclasses import replace
from importlib.resources import files
from random import Random
from typing import Any

import ckzg
import pytest

from bridge.ethereum import blobs, rlp
from bridge.ethereum.blobs import (
    BLOB_PROOFS,
    CELL_PROOFS,
    BlobSidecar,
    network_form,
    parse_blob_transaction,
    versioned_hash,
)
from bridge.ethereum.transactions import TransactionError
from localnet.accounts import accounts
from store.keccak import keccak
from tests.blobs import INFINITY, ZEROS, blob_transaction, random_blob, sidecar, zeros

ALICE = accounts(count=1)[0]
EMPTY = versioned_hash(INFINITY)


@pytest.mark.slow
@pytest.mark.parametrize("version", [BLOB_PROOFS, CELL_PROOFS])
def test_both_wrappers_are_decoded_and_verified(version: int) -> None:
    carried = sidecar([random_blob(1), ZEROS], version)
    signed = ALICE.sign(blob_transaction([*map(versioned_hash, carried.commitments)]))
    items = rlp.read_list(rlp.decode(network_form(signed, carried)[1:]))
    assert len(items) == 4 + version
    found = parse_blob_transaction(network_form(signed, carried))
    assert (found.signed, found.sidecar) == (signed, carried)
    assert found.signed.hash() == bytes(keccak(signed.raw())), "the hash covers the transaction without its blobs"
    found.check(version, 6)
    carried.verify()


def test_the_form_of_blocks_has_no_sidecar() -> None:
    raw = ALICE.sign(blob_transaction([EMPTY])).raw()
    found = parse_blob_transaction(raw)
    assert (found.signed.raw(), found.sidecar) == (raw, None)
    with pytest.raises(TransactionError, match="missing sidecar in blob transaction; send the network form"):
        found.check(CELL_PROOFS, 6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": BLOB_PROOFS}, "unexpected sidecar version, want: 1, got: 0; send version 1, with 128 cell proofs"),
        ({"blobs": (ZEROS,)}, "invalid number of 1 blobs compared to 2 blob hashes"),
        ({"commitments": (INFINITY,)}, "invalid number of 1 blob commitments compared to 2 blob hashes"),
        ({"proofs": (INFINITY,) * 255}, "invalid number of 255 blob proofs expected 256"),
        ({"commitments": (INFINITY, bytes(48))}, "blob 1: computed hash 0x01.* mismatches transaction one 0x01"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused_as_geth_does(changes: dict[str, Any], words: str) -> None:
    carried = replace(sidecar([ZEROS, ZEROS]), **changes)
    with pytest.raises(TransactionError, match=words):
        carried.check((EMPTY, EMPTY), CELL_PROOFS)


@pytest.mark.parametrize(("count", "words"), [(0, "blobless blob transaction"), (7, "have 7, permitted 6")])
def test_the_number_of_blobs_is_limited(count: int, words: str) -> None:
    with pytest.raises(TransactionError, match=words):
        parse_blob_transaction(zeros(ALICE, count)).check(CELL_PROOFS, 6)


@pytest.mark.slow
@pytest.mark.parametrize("version", [BLOB_PROOFS, CELL_PROOFS])
def test_a_wrong_proof_is_refused(version: int) -> None:
    right = sidecar([random_blob(1)], version)
    other = sidecar([random_blob(2)], version)
    with pytest.raises(TransactionError, match="KZG verification error: invalid blob proof; build the sidecar again"):
        replace(right, proofs=other.proofs).verify()
    with pytest.raises(TransactionError, match="KZG verification error: invalid blob proof: a blob has 131072 bytes"):
        replace(right, blobs=(ZEROS[1:],)).verify()


def test_other_items_are_no_network_form() -> None:
    inner = rlp.decode(ALICE.sign(blob_transaction([EMPTY])).raw()[1:])
    for items, words in (
        ([inner, b"\x02", [], [], []], "sidecar version 2 is not known"),
        ([inner, [], []], "expected 3 lists, got 2 items"),
        ([inner, [], [], b""], "malformed: expected a list"),
        ([inner[:-1], [], [], []], "malformed: expected a list of 14 items, found 13"),
    ):
        with pytest.raises(TransactionError, match=words):
            parse_blob_transaction(b"\x03" + rlp.encode(items))
    assert repr(BlobSidecar(0, (ZEROS,), (), ())) == "BlobSidecar(version=0, 1 blobs)"


SETUP = files("eth._utils") / "kzg_trusted_setup.txt"
"""The ceremony's whole setup, as py-evm ships it: 4,096 points of G1 in Lagrange form, 65 of G2, 4,096 of G1."""
NO_POINT = "is not the compressed form of a point of the group"
POINT_AT_INFINITY = b"\xc0" + bytes(47)
BEYOND_FIELD = bytes.fromhex(
    "bf73ddd4c9cd4de0d32470a193f4f1e3fb9926b584ad13e4aac0ffabba099c4f013b75ba40707c427d998c5529beb9f9"
)
"""Twice the generator, with the order of the field added to its x."""


@pytest.fixture(scope="module")
def setup() -> Any:
    return ckzg.load_trusted_setup(str(SETUP), 0)


@pytest.fixture(scope="module")
def some_blobs() -> list[bytes]:
    """Return a random blob, one of zeros (its commitment is the point at infinity), and one of the largest elements."""
    chance = Random(4844)
    of_chance = b"".join(chance.randrange(blobs.MODULUS).to_bytes(32, "big") for _ in range(4096))
    return [of_chance, bytes(blobs.BLOB_BYTES), (blobs.MODULUS - 1).to_bytes(32, "big") * 4096]


@pytest.fixture(scope="module")
def commitments(setup: Any, some_blobs: list[bytes]) -> list[bytes]:
    return [ckzg.blob_to_kzg_commitment(blob, setup) for blob in some_blobs]


@pytest.fixture(scope="module")
def cell_proofs(setup: Any, some_blobs: list[bytes]) -> list[bytes]:
    return [proof for blob in some_blobs for proof in ckzg.compute_cells_and_kzg_proofs(blob, setup)[1]]


def swapped(items: list[bytes], first: int, second: int) -> list[bytes]:
    found = list(items)
    found[first], found[second] = found[second], found[first]
    return found


def test_the_points_are_the_ceremonys() -> None:
    lines = SETUP.read_text(encoding="ascii").split()
    assert lines[:2] == ["4096", "65"]
    second_group, first_group = lines[2 + 4096 : 2 + 4096 + 65], lines[2 + 4096 + 65 :]
    ours = (files("bridge.ethereum") / "kzg_setup.txt").read_text(encoding="ascii").split()
    assert ours == [second_group[1], second_group[64], *first_group[:64]]


@pytest.mark.slow
def test_versioned_hash_is_that_of_commitment(some_blobs: list[bytes], commitments: list[bytes]) -> None:
    """The hash of the commitment to zeros is in EIP-4844's tests: 0x010657f3...4014."""
    assert commitments[1] == POINT_AT_INFINITY
    assert (
        blobs.versioned_hash(POINT_AT_INFINITY).hex()
        == "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014"
    )


@pytest.mark.slow
def test_point_evaluation_is_verified(setup: Any, some_blobs: list[bytes], commitments: list[bytes]) -> None:
    for z in (0, 1, 12345, blobs.MODULUS - 1):
        at = z.to_bytes(32, "big")
        for blob, commitment in zip(some_blobs, commitments, strict=True):
            proof, y = ckzg.compute_kzg_proof(blob, at, setup)
            assert blobs.verify_point(commitment, at, y, proof)
            other = ((int.from_bytes(y, "big") + 1) % blobs.MODULUS).to_bytes(32, "big")
            assert not blobs.verify_point(commitment, at, other, proof)
            assert not ckzg.verify_kzg_proof(commitment, at, other, proof, setup)


@pytest.mark.slow
def test_blob_proofs_are_verified(setup: Any, some_blobs: list[bytes], commitments: list[bytes]) -> None:
    proofs = [ckzg.compute_blob_kzg_proof(*pair, setup) for pair in zip(some_blobs, commitments, strict=True)]
    assert blobs.verify_blobs(some_blobs, commitments, proofs)
    assert blobs.verify_blobs(some_blobs[:1], commitments[:1], proofs[:1])
    for wrong in (
        (some_blobs, commitments, swapped(proofs, 0, 2)),
        (some_blobs, swapped(commitments, 0, 1), proofs),
        (swapped(some_blobs, 0, 1), commitments, proofs),
        ([bytes(31) + b"\x01" + some_blobs[0][32:], *some_blobs[1:]], commitments, proofs),
    ):
        assert not ckzg.verify_blob_kzg_proof_batch(*map(b"".join, wrong), setup)
        assert not blobs.verify_blobs(*wrong)


@pytest.mark.slow
def test_cell_proofs_are_verified(
    setup: Any, some_blobs: list[bytes], commitments: list[bytes], cell_proofs: list[bytes]
) -> None:
    assert blobs.verify_cells(some_blobs, commitments, cell_proofs)
    assert blobs.verify_cells(some_blobs[:1], commitments[:1], cell_proofs[:128])
    for wrong in (
        (some_blobs, commitments, swapped(cell_proofs, 0, 127)),
        (some_blobs, commitments, swapped(cell_proofs, 0, 256)),
        (some_blobs, swapped(commitments, 0, 1), cell_proofs),
        (swapped(some_blobs, 0, 2), commitments, cell_proofs),
        ([some_blobs[0][:-1] + bytes([some_blobs[0][-1] ^ 1]), *some_blobs[1:]], commitments, cell_proofs),
        (some_blobs, commitments, [*cell_proofs[:5], POINT_AT_INFINITY, *cell_proofs[6:]]),
    ):
        cells = [cell for blob in wrong[0] for cell in ckzg.compute_cells(blob, setup)]
        of_cells = [commitment for commitment in wrong[1] for _ in range(128)]
        assert not ckzg.verify_cell_kzg_proof_batch(of_cells, [*range(128)] * len(some_blobs), cells, wrong[2], setup)
        assert not blobs.verify_cells(*wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "words"),
    [
        (bytes(48), NO_POINT),
        (b"\xff" * 48, NO_POINT),
        (bytes.fromhex("80" + "00" * 46 + "04"), NO_POINT),  # on the curve, of another subgroup
        (b"\xe0" + bytes(47), NO_POINT),  # infinity with a sign
        (POINT_AT_INFINITY[:-1] + b"\x01", NO_POINT),
        (BEYOND_FIELD, NO_POINT),
        (POINT_AT_INFINITY[:-1], "48 bytes, not 47"),
        (POINT_AT_INFINITY + b"\0", "48 bytes, not 49"),
    ],
)
def test_invalid_curve_point_is_rejected(setup: Any, point: bytes, words: str) -> None:
    word = bytes(32)
    for commitment, proof in ((point, POINT_AT_INFINITY), (POINT_AT_INFINITY, point)):
        with pytest.raises((RuntimeError, ValueError)):
            ckzg.verify_kzg_proof(commitment, word, word, proof, setup)
        with pytest.raises(blobs.KzgError, match=words):
            blobs.verify_point(commitment, word, word, proof)


@pytest.mark.parametrize("number", [blobs.MODULUS, (1 << 256) - 1])
def test_invalid_field_element_is_rejected(number: int) -> None:
    word = number.to_bytes(32, "big")
    with pytest.raises(blobs.KzgError, match="is not a field element"):
        blobs.verify_point(POINT_AT_INFINITY, word, bytes(32), POINT_AT_INFINITY)
    with pytest.raises(blobs.KzgError, match="is not a field element"):
        blobs.verify_point(POINT_AT_INFINITY, bytes(32), word, POINT_AT_INFINITY)
    with pytest.raises(blobs.KzgError, match="is not a field element"):
        blobs.verify_blobs([word + bytes(blobs.BLOB_BYTES - 32)], [POINT_AT_INFINITY], [POINT_AT_INFINITY])
    with pytest.raises(blobs.KzgError, match="a blob has 131072 bytes, not 32"):
        blobs.verify_blobs([word], [POINT_AT_INFINITY], [POINT_AT_INFINITY])
    with pytest.raises(blobs.KzgError, match="1 blobs have 128 cells, but there are 2 proofs"):
        blobs.verify_cells([bytes(blobs.BLOB_BYTES)], [POINT_AT_INFINITY], [POINT_AT_INFINITY] * 2)
