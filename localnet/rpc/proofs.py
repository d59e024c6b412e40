"""`eth_getProof`. Proofs are IPLD blocks, because the state is not a Merkle-Patricia trie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block
from localnet.rpc.lotus_shapes import cid_json
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.values import address, as_data, as_quantity, list_of, word

if TYPE_CHECKING:
    from localnet.calls.proofs import Proof

MAX_SLOTS: Final = 1_024
"""Limit of geth."""


def get_proof(node: NodeReader, owner: EthAddress, slots: Sequence[int] = (), at: BlockRef = LATEST) -> dict[str, Any]:
    """Return the blocks that prove an account and slots of its storage below `stateRoot`, each with its path.

    They are DAG-CBOR blocks of the state, and no nodes of a trie: `store.trees.paths.verify` checks them.
    """
    from localnet.calls.proofs import prove_account

    found = prove_account(node.machine_at(at), to_filecoin(owner), slots)
    return {
        "address": as_data(owner),
        "balance": as_quantity(found.balance),
        "nonce": as_quantity(found.nonce),
        "codeHash": as_data(found.code_hash),
        "storageHash": as_data(found.storage),
        "accountProof": _blocks(found.proof),
        "storageProof": [
            {
                "key": as_data(slot.slot.to_bytes(32, "big")),
                "value": as_quantity(int.from_bytes(slot.value, "big")),
                "proof": _blocks(slot.proof),
                "path": str(slot.proof.path),
            }
            for slot in found.slots
        ],
        "stateRoot": cid_json(found.root),
        "path": str(found.proof.path),
    }


def _blocks(proof: Proof) -> list[str]:
    return [as_data(data) for data in proof.blocks]


METHODS = (
    Method("eth_getProof", (address, optional(list_of(word, MAX_SLOTS)), optional(block)), get_proof, reads=True),
)
