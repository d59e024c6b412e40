"""Blob transactions in the network form: decoding, and the checks of a sidecar; proofs are made by c-kzg."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.ethereum import rlp
from bridge.ethereum.blobs import BLOB_PROOFS, CELL_PROOFS, BlobSidecar, network_form, parse_blob_transaction
from bridge.ethereum.kzg import versioned_hash
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
