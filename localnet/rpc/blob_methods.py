"""Anvil's methods about blobs of transactions; they return null for an unknown blob."""

from __future__ import annotations

from bridge.ethereum.transactions import BLOB
from localnet.ledger.candidates import candidate_of
from localnet.rpc.methods import Method
from localnet.rpc.node import NodeReader
from localnet.rpc.values import as_data, hash32


def get_blob_by_hash(node: NodeReader, versioned_hash: bytes) -> str | None:
    """Return the blob with a versioned hash. Null under Filecoin's rules."""
    blob = node.network.chain.index.blob(versioned_hash)
    return None if blob is None else as_data(blob)


def get_blobs_by_transaction_hash(node: NodeReader, transaction_hash: bytes) -> list[str] | None:
    """Return the blobs of a transaction in a block. Null under Filecoin's rules."""
    receipt = node.network.find_receipt(transaction_hash)
    if receipt is None or receipt.execution.kind != BLOB:
        return None
    signed = candidate_of(receipt).transaction
    found = [] if signed is None else [*map(node.network.chain.index.blob, signed.transaction.blob_hashes)]
    return [as_data(blob) for blob in found if blob is not None]


METHODS = (
    Method("anvil_getBlobByHash", (hash32,), get_blob_by_hash, reads=True),
    Method("anvil_getBlobsByTransactionHash", (hash32,), get_blobs_by_transaction_hash, reads=True),
)
