"""Validation of finality certificates, from a trusted power table on; their signatures; and a committee for tests.

The checks are those of go-f3 (certs/certs.go, ValidateFinalityCertificates). A certificate is trusted if the signers of
at least two thirds of the scaled power have signed it; it certifies the power table of the next instance.

Sources of the signature: FIP-0086; go-f3 (gpbft/types.go, gpbft/chain.go, merkle/merkle.go); the BDN scheme of Boneh,
Drijvers and Neven (https://eprint.iacr.org/2018/483) as in kyber's sign/bdn. Keys are in G1 and signatures in G2 of
BLS12-381. Source of BLAKE2Xs: https://www.blake2.net/blake2x.pdf and RFC 7693. `hashlib` rejects the tree depth 0 of
the output blocks, so this module implements the compression function for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2s
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.messages.signatures import BLS_DOMAIN
from hypervisor.types import whole_number
from hypervisor_tools.laboratory.proofs.f3.certificates import (
    SIGNATURE_LENGTH,
    Certificate,
    InvalidCertificate,
    PowerEntry,
    PowerTable,
    Tipset,
    apply_deltas,
    check_power_table,
    decode_certificate,
    power_table_cid,
    read_certificate,
    read_power_table,
    scaled_powers,
)
from store.cid import Cid, cid_of, show
from store.codec import encode
from store.keccak import keccak

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, Scalar

_BLOCK: Final = 32
_MASK: Final = 0xFFFFFFFF
_UNKNOWN_LENGTH: Final = 0xFFFF
"""XOF digest length of an output whose length is not fixed in advance.

In the parameter block it follows the 32-bit node offset, which is the number of the output block.
"""
_IV: Final = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_SIGMA: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_LANES: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def blake2xs(data: bytes, size: int) -> bytes:
    """Return the first `size` bytes of the output for an input."""
    root = blake2s(data, node_offset=_UNKNOWN_LENGTH << 32).digest()
    blocks = (size + _BLOCK - 1) // _BLOCK
    return b"".join(_block(root, number) for number in range(blocks))[:size]


def _block(root: bytes, number: int) -> bytes:
    """Return an output block: BLAKE2s of the root, with fanout and depth 0, leaf and inner length 32."""
    parameters = (_BLOCK, _BLOCK, number, _UNKNOWN_LENGTH | _BLOCK << 24, 0, 0, 0, 0)
    return _compress([vector ^ word for vector, word in zip(_IV, parameters, strict=True)], root)


def _compress(state: list[int], last: bytes) -> bytes:
    """Return the digest after the only block, which is padded with zeros."""
    message = unpack("<16I", last.ljust(64, b"\0"))
    work = [*state, *_IV]
    work[12] ^= len(last)
    work[14] ^= _MASK
    for order in _SIGMA:
        for lane, (a, b, c, d) in enumerate(_LANES):
            low, left, right, high = work[a], work[b], work[c], work[d]
            low = low + left + message[order[2 * lane]] & _MASK
            high ^= low
            high = (high >> 16 | high << 16) & _MASK
            right = right + high & _MASK
            left ^= right
            left = (left >> 12 | left << 20) & _MASK
            low = low + left + message[order[2 * lane + 1]] & _MASK
            high ^= low
            high = (high >> 8 | high << 24) & _MASK
            right = right + high & _MASK
            left ^= right
            work[a], work[b], work[c], work[d] = low, (left >> 7 | left << 25) & _MASK, right, high
    return pack("<8I", *(word ^ work[at] ^ work[at + 8] for at, word in enumerate(state)))


_DECIDE: Final = b"\x05"
"""Phase of the votes in a certificate; its round is 0."""
_EMPTY: Final = bytes(32)
_COEFFICIENT: Final = 16
_MAX_POINTS: Final = 16_384
"""Maximum number of cached decoded keys: twice the participants of the largest table."""


def signed_bytes(network: str, certificate: Certificate) -> bytes:
    """Return the bytes that the participants of a network sign to decide the certificate's chain."""
    return b"".join(
        (
            b"GPBFT:",
            network.encode(),
            b":",
            _DECIDE,
            bytes(8),
            certificate.instance.to_bytes(8, "big"),
            certificate.commitments,
            merkle_root([_leaf(tipset) for tipset in certificate.chain]),
            certificate.power_table,
        )
    )


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a binary Merkle tree with Keccak-256; missing leaves at the end are zeros."""
    if not leaves:
        return _EMPTY
    return _subtree(leaves, (len(leaves) - 1).bit_length())


def verify_aggregate(signature: bytes, message: bytes, keys: Sequence[bytes], signers: Sequence[int]) -> None:
    """Check an aggregate signature of the keys at positions `signers`. Raises InvalidCertificate.

    Pass all keys of the power table: the weight of a key depends on all of them.
    """
    from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

    points = []
    for index, key in enumerate(keys):
        try:
            points.append(_point(key))
        except ValueError as error:
            raise InvalidCertificate(f"the key of entry {index} of the power table is {error}") from None
    try:
        aggregate = G2Point.from_compressed_bytes(signature)
    except ValueError as error:
        raise InvalidCertificate(f"Signature: not a point: {error}") from None
    weights = weights_of(tuple(keys))
    weighted = G1Point.multiexp_unchecked([points[at] for at in signers], [Scalar(weights[at]) for at in signers])
    hashed = G2Point.hash_to_curve(message, BLS_DOMAIN)
    if not GT.pairing_check([-G1Point(), weighted], [aggregate, hashed]):
        raise InvalidCertificate("Signature: it does not verify for these signers, contents and network name")


@lru_cache(maxsize=2)
def weights_of(keys: tuple[bytes, ...]) -> tuple[int, ...]:
    """Return the weight of each key: BLAKE2Xs of all keys, 16 bytes each, little-endian, plus 1.

    The result is cached, because consecutive certificates mostly have the same keys.
    """
    size = _COEFFICIENT * len(keys)
    output = blake2xs(b"".join(keys), size)
    return tuple(int.from_bytes(output[at : at + _COEFFICIENT], "little") + 1 for at in range(0, size, _COEFFICIENT))


@lru_cache(maxsize=_MAX_POINTS)  # decoding takes half of the verification time, and most keys recur
def _point(key: bytes) -> G1Point:
    """Return the point of a key. Raises ValueError for bytes that are not a point, and for the point at infinity."""
    from py_arkworks_bls12381 import G1Point

    try:
        point = G1Point.from_compressed_bytes(key)
    except ValueError as error:
        raise ValueError(f"not a point: {error}") from None
    if point == G1Point.identity():
        raise ValueError("the point at infinity")
    return point


def _leaf(tipset: Tipset) -> bytes:
    return (
        tipset.epoch.to_bytes(8, "big", signed=True)
        + tipset.commitments
        + cid_of(encode(tipset.key))
        + tipset.power_table
    )


def _subtree(leaves: Sequence[bytes], depth: int) -> bytes:
    if not leaves:
        return _EMPTY
    if not depth:
        return bytes(keccak(b"\x01" + leaves[0]))
    split = 1 << depth - 1
    return bytes(keccak(b"\x00" + _subtree(leaves[:split], depth - 1) + _subtree(leaves[split:], depth - 1)))


@dataclass(frozen=True, slots=True)
class TrustedState:
    """A trusted state of a network's finality.

    `power_table` is the table of instance `instance`, the next one. `head` is the last finalized tipset; if it is None,
    the first certificate may start from any tipset.
    """

    network: str
    instance: int
    power_table: PowerTable
    head: Tipset | None = None


def follow(start: TrustedState, certificates: Iterable[Certificate]) -> TrustedState:
    """Validate a chain of certificates, and return the state after the last one.

    Raises InvalidCertificate: the text names the certificate by position and instance, and the check that failed.
    """
    check_power_table(start.power_table)
    state = start
    for index, certificate in enumerate(certificates):
        try:
            state = advance(state, certificate)
        except InvalidCertificate as error:
            raise InvalidCertificate(f"certificate {index} (instance {certificate.instance}): {error}") from None
    return state


def advance(state: TrustedState, certificate: Certificate) -> TrustedState:
    """Validate one certificate, and return the state after it. Raises InvalidCertificate."""
    if certificate.instance != state.instance:
        raise InvalidCertificate(f"GPBFTInstance: expected {state.instance}")
    _check_chain(certificate.chain)
    if state.head is not None and certificate.chain[0] != state.head:
        raise InvalidCertificate(f"ECChain[0]: it is not the finalized head, which is at epoch {state.head.epoch}")
    _check_signature(state, certificate)
    table = apply_deltas(state.power_table, certificate.deltas)
    found = power_table_cid(table)
    if found != certificate.power_table:
        raise InvalidCertificate(
            f"SupplementalData: PowerTable is {show(certificate.power_table)}, but the deltas give {show(found)}"
        )
    return replace(
        state,
        instance=state.instance + 1,
        power_table=table,
        head=certificate.chain[-1],
    )


def _check_chain(chain: tuple[Tipset, ...]) -> None:
    if not chain:
        raise InvalidCertificate("ECChain: it is empty")
    last = -1
    for index, tipset in enumerate(chain):
        if not tipset.key:
            raise InvalidCertificate(f"ECChain[{index}]: Key is empty")
        if tipset.epoch <= last:
            raise InvalidCertificate(f"ECChain[{index}]: epoch {tipset.epoch} does not follow epoch {last}")
        last = tipset.epoch


def _check_signature(state: TrustedState, certificate: Certificate) -> None:
    table = state.power_table
    if not table:
        raise InvalidCertificate("the power table of this instance is empty")
    shares = scaled_powers(table)
    for signer in certificate.signers:
        if signer >= len(table):
            raise InvalidCertificate(f"Signers: signer {signer} is not in the power table of {len(table)} entries")
        if not shares[signer]:
            raise InvalidCertificate(f"Signers: signer {signer} (participant {table[signer].id}) has no scaled power")
    signed, total = sum(shares[signer] for signer in certificate.signers), sum(shares)
    if 3 * signed < 2 * total:
        raise InvalidCertificate(f"Signers: {signed} of {total} scaled power have signed, two thirds are needed")
    verify_aggregate(
        certificate.signature,
        signed_bytes(state.network, certificate),
        [entry.key for entry in table],
        certificate.signers,
    )


MAX_SIZE: Final = 1000
_FIRST_SECRET: Final = 1_000_003
_FIRST_ID: Final = 1000
_POWER: Final = 1 << 40
_NO_COMMITMENTS: Final = bytes(32)


class Committee:
    """Participants with equal power; their power table never changes.

    `network` is the name of the network that the certificates are for, `size` the number of participants.
    """

    def __init__(self, network: str, size: int = 4) -> None:
        from py_arkworks_bls12381 import G1Point, Scalar

        whole_number(size, "the size of a committee", 1, MAX_SIZE)
        self.network = network
        self._secrets: list[Scalar] = [Scalar(_FIRST_SECRET + number) for number in range(size)]
        keys = [bytes((G1Point() * secret).to_compressed_bytes()) for secret in self._secrets]
        self.table = tuple(PowerEntry(_FIRST_ID + at, _POWER, key) for at, key in enumerate(keys))

    def tipset(self, epoch: int, blocks: Sequence[Cid]) -> Tipset:
        """Return the tipset of the block headers with these CIDs."""
        return Tipset(epoch, b"".join(blocks), power_table_cid(self.table), _NO_COMMITMENTS)

    def certify(self, instance: int, chain: Sequence[Tipset], signers: Sequence[int] | None = None) -> Certificate:
        """Return a certificate that finalizes a chain of tipsets. The first tipset is the last finalized one.

        `signers` are positions in the power table, in ascending order; None means all.
        """
        from py_arkworks_bls12381 import G2Point, Scalar

        chosen = tuple(range(len(self._secrets)) if signers is None else signers)
        table = power_table_cid(self.table)
        unsigned = Certificate(instance, tuple(chain), _NO_COMMITMENTS, table, chosen, bytes(SIGNATURE_LENGTH), ())
        hashed = G2Point.hash_to_curve(signed_bytes(self.network, unsigned), BLS_DOMAIN)
        weights = weights_of(tuple(entry.key for entry in self.table))
        aggregate = G2Point.identity()
        for at in chosen:
            aggregate = aggregate + hashed * self._secrets[at] * Scalar(weights[at])
        signature = bytes(aggregate.to_compressed_bytes())
        return Certificate(instance, tuple(chain), _NO_COMMITMENTS, table, chosen, signature, ())


MAX_CERTIFICATES: Final = 100_000
"""Maximum number of certificates in one verification."""


@dataclass(frozen=True, slots=True)
class VerifiedCertificates:
    """Valid certificates, with the trusted states before the first and after the last one."""

    start: TrustedState
    end: TrustedState
    certificates: tuple[Certificate, ...]

    def tipset_of(self, block: Cid) -> Tipset:
        """Return the finalized tipset that a block is part of. Raises InvalidCertificate if there is none."""
        for certificate in self.certificates:
            for tipset in certificate.chain:
                if block in tipset.blocks():
                    return tipset
        raise InvalidCertificate(f"block {show(block)} is not in a tipset that the certificates finalize")

    def summary(self) -> dict[str, Any]:
        """Return the certified instances, the head and the next power table as JSON."""
        head = self.certificates[-1].chain[-1]
        return {
            "network": self.end.network,
            "powerTable": show(power_table_cid(self.start.power_table)),
            "firstInstance": self.start.instance,
            "nextInstance": self.end.instance,
            "nextPowerTable": show(power_table_cid(self.end.power_table)),
            "finalizedEpoch": head.epoch,
            "finalizedTipset": [show(block) for block in head.blocks()],
        }


def verify_files(
    documents: Iterable[Any], table: Any, network: str, table_cid: str | None = None, instance: int | None = None
) -> VerifiedCertificates:
    """Validate certificates from files.

    A document is the JSON of a certificate, a list of them, or the bytes of one certificate as CBOR. `instance` is that
    of the power table; None means that of the first certificate. Raises InvalidCertificate.
    """
    certificates = list(_certificates(documents))
    if not certificates:
        raise InvalidInput("there is no certificate in the files")
    trusted = read_power_table(table)
    found = show(power_table_cid(trusted))
    if table_cid is not None and found != table_cid:
        raise InvalidCertificate(f"power table: its CID is {found}, not {table_cid}")
    start = TrustedState(network, certificates[0].instance if instance is None else instance, trusted)
    return VerifiedCertificates(start, follow(start, certificates), tuple(certificates))


def _certificates(documents: Iterable[Any]) -> Iterator[Certificate]:
    count = 0
    for document in documents:
        for item in document if isinstance(document, list) else [document]:
            try:
                yield decode_certificate(item) if isinstance(item, bytes) else read_certificate(item)
            except InvalidCertificate as error:
                raise InvalidCertificate(f"certificate {count}: {error}") from None
            count += 1
            if count > MAX_CERTIFICATES:
                raise InvalidInput(f"more than {MAX_CERTIFICATES:,} certificates: verify them in several runs")
