"""A precompile that verifies Merkle Patricia proofs, for contracts that check another network's state.

Input: the ABI encoding of `(bytes32 root, bytes32 key, bytes[] nodes)`, without a selector. The key is the Keccak-256
hash of an address (in a state trie) or of a slot (in a storage trie). Output: `(bytes value)`, empty if the nodes prove
that the trie has no such key. The call fails if they prove nothing.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.patricia import MAX_NODE, MAX_NODES, InvalidProof, proven_value
from hypervisor.precompiles import Precompile

_TYPES: Final = ("bytes32", "bytes32", "bytes[]")
_MAX_INPUT: Final = 4 * 32 + MAX_NODES * (64 + MAX_NODE)
"""Maximum size of the input: root, key, offset and length of the list, and an offset, a length and data per node."""


def _verify_nodes(data: bytes) -> bytes:
    from eth_abi.abi import decode, encode
    from eth_abi.exceptions import DecodingError

    # bounded first: the offsets of all nodes may point to the same bytes, which decoding copies for each of them
    if len(data) > _MAX_INPUT:
        raise InvalidProof(f"the input has {len(data)} bytes, at most {_MAX_INPUT} are possible")
    offset = int.from_bytes(data[64:96], "big")
    count = int.from_bytes(data[offset : offset + 32], "big")
    if count > MAX_NODES:
        raise InvalidProof(f"the proof has {count} nodes, at most {MAX_NODES} are possible")
    try:
        root, key, nodes = decode(_TYPES, data)
    except (DecodingError, OverflowError) as error:
        raise InvalidProof(f"the input is not the encoding of {_TYPES}: {error}") from None
    return encode(["bytes"], [proven_value(root, key, nodes)])


ETHEREUM_PROOF: Final = Precompile(
    "ethereum_proof",
    "0x000000000000000000000000000000000000e700",
    gas=3_000,
    function=_verify_nodes,
    gas_per_word=12,
    signature="ethereum_proof(bytes32,bytes32,bytes[])(bytes)",
)
"""The precompile; register it with `Network(precompiles=["ethereum_proof"])` or `node --precompile ethereum_proof`."""
