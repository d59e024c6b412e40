"""Blobs with commitments and proofs by c-kzg (`ckzg`), and signed transactions of them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

import ckzg

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.blobs import (
    BLOB_BYTES,
    BLOB_PROOFS,
    CELL_PROOFS,
    CELLS,
    MODULUS,
    BlobSidecar,
    network_form,
    versioned_hash,
)
from bridge.ethereum.transactions import BLOB, Transaction
from localnet.accounts import Account

SETUP = files("eth._utils") / "kzg_trusted_setup.txt"
"""The complete trusted setup from py-evm: 4,096 points of G1 in Lagrange form, 65 of G2, 4,096 of G1."""
ZEROS = bytes(BLOB_BYTES)
INFINITY = b"\xc0" + bytes(47)
"""Commitment and proof of a blob of zeros."""
GWEI = 10**9
CHAIN = 31337
NOBODY = EthAddress(b"\x22" * 20)


@cache
def setup() -> Any:
    return ckzg.load_trusted_setup(str(SETUP), 0)


def random_blob(seed: int) -> bytes:
    chance = Random(seed)
    return b"".join(chance.randrange(MODULUS).to_bytes(32, "big") for _ in range(4096))


def sidecar(blobs: Sequence[bytes], version: int = CELL_PROOFS) -> BlobSidecar:
    commitments, proofs = list[bytes](), list[bytes]()
    for blob in blobs:
        if blob == ZEROS:  # spares the fast tests the setup
            commitments.append(INFINITY)
            proofs += [INFINITY] * (CELLS if version == CELL_PROOFS else 1)
            continue
        commitments.append(ckzg.blob_to_kzg_commitment(blob, setup()))
        if version == BLOB_PROOFS:
            proofs.append(ckzg.compute_blob_kzg_proof(blob, commitments[-1], setup()))
        else:
            proofs += ckzg.compute_cells_and_kzg_proofs(blob, setup())[1]
    return BlobSidecar(version, tuple(blobs), tuple(commitments), tuple(proofs))


def blob_transaction(hashes: Sequence[bytes], **fields: Any) -> Transaction:
    """Return a transfer of 5 attoFIL with these blob hashes."""
    plain = Transaction(
        type=BLOB, chain_id=CHAIN, nonce=0, to=NOBODY, value=5, data=b"", gas_limit=21_000, max_fee=20 * GWEI,
        max_priority_fee=GWEI, max_fee_per_blob_gas=10, blob_hashes=tuple(hashes),
    )  # fmt: skip
    return replace(plain, **fields)


def signed_blobs(account: Account, carried: BlobSidecar, **fields: Any) -> bytes:
    hashes = [versioned_hash(commitment) for commitment in carried.commitments]
    return network_form(account.sign(blob_transaction(hashes, **fields)), carried)


def zeros(account: Account, count: int = 1, version: int = CELL_PROOFS, **fields: Any) -> bytes:
    """Return a signed transaction with zero blobs in network form."""
    return signed_blobs(account, sidecar([ZEROS] * count, version), **fields)
