"""Precompiles that verify proofs of other networks, for contracts: `ethereum_proof` and `f3_event`.

`ethereum_proof` verifies a Merkle Patricia proof. Input: the ABI encoding of `(bytes32 root, bytes32 key, bytes[]
nodes)`, without a selector. The key is the Keccak-256 hash of an address (in a state trie) or of a slot (in a storage
trie). Output: `(bytes value)`, empty if the nodes prove that the trie has no such key. The call fails if they prove
nothing.

`f3_event` verifies an event of another Filecoin network by finality certificates. Input: the ABI encoding of `(string
network, uint64 instance, bytes32 powerTable, bytes proof)`, without a selector. `powerTable` is the digest of the
trusted power table of that instance: the last 32 bytes of its CID. The proof is made by `event_proof`. Output: one
tuple of

    uint64 nextInstance, bytes32 nextPowerTable    the instance after the last certificate, and its power table
    uint64 epoch, uint64 message, uint64 index     the event's place, which identifies it on that network
    uint64 emitter, bytes32[] topics, bytes data   the event

The call fails if anything is not proven, or if the event is not an Ethereum log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bridge.ethereum.patricia import MAX_NODE, MAX_NODES, InvalidProof, proven_value
from bridge.filecoin.receipts import entries_to_log
from hypervisor.precompiles import Precompile
from hypervisor_tools.laboratory.proofs.f3.certificates import (
    Certificate,
    InvalidCertificate,
    PowerTable,
    array,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
    octets,
    power_table_cid,
    record,
    uint64,
)
from hypervisor_tools.laboratory.proofs.f3.chain import TrustedState, follow
from hypervisor_tools.laboratory.proofs.filecoin import event_at, proof_of, proven
from store.blockstore import Blockstore
from store.cid import Cid, cid_of
from store.codec import decode_strict, encode

_TYPES: Final = ("bytes32", "bytes32", "bytes[]")
_MAX_STORAGE_PROOF: Final = 4 * 32 + MAX_NODES * (64 + MAX_NODE)
"""Maximum size of the input: root, key, offset and length of the list, and an offset, a length and data per node."""


def _verify_nodes(data: bytes) -> bytes:
    from eth_abi.abi import decode, encode
    from eth_abi.exceptions import DecodingError

    # bounded first: the offsets of all nodes may point to the same bytes, which decoding copies for each of them
    if len(data) > _MAX_STORAGE_PROOF:
        raise InvalidProof(f"the input has {len(data)} bytes, at most {_MAX_STORAGE_PROOF} are possible")
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


MAX_INPUT: Final = 256 << 10
"""Maximum size of the input in bytes."""
MAX_CERTIFICATES: Final = 16
MAX_KEYS: Final = 2048
"""Maximum number of certificates times participants, since each certificate takes all keys; deltas count too."""
MAX_BLOCKS: Final = 256
_INPUT: Final = ("string", "uint64", "bytes32", "bytes")
_OUTPUT: Final = "(uint64,bytes32,uint64,uint64,uint64,uint64,bytes32[],bytes)"
_DIGEST: Final = 32


def event_proof(
    table: PowerTable, certificates: Sequence[Certificate], store: Blockstore, header: Cid, message: int, event: int
) -> bytes:
    """Return the proof for the precompile: an event below a block header that the certificates finalize.

    `table` is the power table of the first certificate. `message` and `event` are positions from 0.
    """
    blocks = proof_of(store, header, lambda read, at: event_at(read, at, message, event))
    encoded = [encode_certificate(one) for one in certificates]
    return encode([encode_power_table(table), encoded, [data for _, data in blocks], message, event])


def _verify_event(data: bytes) -> bytes:
    from eth_abi.abi import decode
    from eth_abi.abi import encode as abi_encode
    from eth_abi.exceptions import DecodingError

    if len(data) > MAX_INPUT:
        raise InvalidCertificate(f"the input has {len(data):,} bytes, the limit is {MAX_INPUT:,}")
    try:
        network, instance, digest, proof = decode(_INPUT, data)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise InvalidCertificate(f"the input is not the encoding of {_INPUT}: {error}") from None
    return bytes(abi_encode([_OUTPUT], [_verified_event(network, instance, digest, proof)]))


def _verified_event(network: str, instance: int, digest: bytes, proof: bytes) -> tuple[Any, ...]:
    table_bytes, encoded, blocks, message, event = record(decode_strict(proof), "proof", 5)
    if not array(encoded, "certificates", MAX_CERTIFICATES):
        raise InvalidCertificate("certificates: expected at least one, found none")
    table = decode_power_table(octets(table_bytes, "power table", MAX_INPUT))
    if power_table_cid(table)[-_DIGEST:] != digest:
        raise InvalidCertificate("power table: its digest is not the trusted one")
    certificates = [decode_certificate(octets(one, "certificate", MAX_INPUT)) for one in encoded]
    participants = len(table) + sum(len(one.deltas) for one in certificates)  # of any of the tables
    if len(certificates) * participants > MAX_KEYS:
        raise InvalidCertificate(
            f"{len(certificates)} certificates with up to {participants} participants, deltas included: the product "
            f"may be at most {MAX_KEYS}"
        )
    end = follow(TrustedState(network, instance, table), certificates)
    pairs = [(cid_of(one), one) for one in map(_block, array(blocks, "blocks", MAX_BLOCKS))]
    if not pairs:
        raise InvalidCertificate("blocks: the header is missing")
    header = pairs[0][0]
    epochs = [tipset.epoch for one in certificates for tipset in one.chain if header in tipset.blocks()]
    if not epochs:
        raise InvalidCertificate("blocks: the first one is not a header that the certificates finalize")
    indices = uint64(message, "message"), uint64(event, "event")
    found = proven(pairs, header, lambda store, at: event_at(store, at, *indices))
    log = entries_to_log(found.entries)
    if log is None:
        raise InvalidCertificate("the event is not a log: its keys are not topics and data")
    next_table = power_table_cid(end.power_table)[-_DIGEST:]
    return end.instance, next_table, epochs[0], *indices, found.emitter, list(log.topics), log.data


def _block(value: Any) -> bytes:
    return octets(value, "block", MAX_INPUT)


F3_EVENT: Final = Precompile(
    "f3_event",
    "0x000000000000000000000000000000000000e701",
    gas=200_000,
    function=_verify_event,
    gas_per_word=6_000,
    signature=f"f3_event(string,uint64,bytes32,bytes)({_OUTPUT})",
)
"""The precompile; register it with `Network(precompiles=["f3_event"])` or `node --precompile f3_event`."""
