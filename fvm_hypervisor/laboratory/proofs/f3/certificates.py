"""Finality certificates of F3: decoding from CBOR (as go-f3 writes them) and JSON (as Lotus returns them).

Sources: FIP-0086 and go-f3 (certs/certs.go, gpbft/chain.go). The limits are those of go-f3's decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.laboratory.proofs.f3.power_table import MAX_ENTRIES, MAX_KEY, PowerDelta
from fvm_hypervisor.laboratory.proofs.f3.values import (
    MAX_POWER,
    array,
    base64_octets,
    check_length,
    decimal_power,
    field,
    int64,
    json_cid,
    linked_cid,
    octets,
    parse_power,
    power_bytes,
    record,
    uint64,
)
from store.cid import Cid, CidError, read_cid
from store.codec import CodecError, decode_strict, encode, link
from store.trees import bitfield

MAX_CERTIFICATE: Final = 2 << 20
"""Maximum size of an encoded certificate in bytes; one with every part at its limit is smaller."""
MAX_TIPSETS: Final = 128
MAX_KEY_BYTES: Final = 760
"""Maximum length of a tipset key in bytes: 20 CIDs of 38 bytes."""
MAX_SIGNERS_BYTES: Final = 8192
SIGNATURE_LENGTH: Final = 96
_DIGEST: Final = 32
_FIELDS: Final = 6


@dataclass(frozen=True, slots=True)
class Tipset:
    """A tipset of a finalized chain.

    `key` is the concatenation of its block CIDs. `power_table` is the CID of the table at that tipset.
    """

    epoch: int
    key: bytes
    power_table: Cid
    commitments: bytes

    def blocks(self) -> tuple[Cid, ...]:
        """Return the CIDs of the block headers. Raises InvalidCertificate if the key is not made of CIDs."""
        found: list[Cid] = []
        at = 0
        try:
            while at < len(self.key):
                cid, at = read_cid(self.key, at)
                found.append(cid)
        except CidError as error:
            raise InvalidCertificate(f"tipset at epoch {self.epoch}: Key: {error}") from None
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A finality certificate: `signers` are positions in the power table of its instance."""

    instance: int
    chain: tuple[Tipset, ...]
    commitments: bytes
    power_table: Cid
    signers: tuple[int, ...]
    signature: bytes
    deltas: tuple[PowerDelta, ...]


def decode_certificate(data: bytes) -> Certificate:
    """Decode a certificate from CBOR. Raises InvalidCertificate: the text names the part that is malformed."""
    if len(data) > MAX_CERTIFICATE:
        raise InvalidCertificate(f"certificate: {len(data):,} bytes, the limit is {MAX_CERTIFICATE:,}")
    try:
        value = decode_strict(data)
    except CodecError as error:
        raise InvalidCertificate(f"certificate: {error}") from None
    instance, chain, supplemental, signers, signature, deltas = record(value, "certificate", _FIELDS)
    commitments, power_table = record(supplemental, "SupplementalData", 2)
    return Certificate(
        uint64(instance, "GPBFTInstance"),
        tuple(_tipset(item, f"ECChain[{index}]") for index, item in enumerate(array(chain, "ECChain", MAX_TIPSETS))),
        _digest(commitments, "SupplementalData: Commitments"),
        linked_cid(power_table, "SupplementalData: PowerTable"),
        _signers(lambda: bitfield.decode(octets(signers, "Signers", MAX_SIGNERS_BYTES))),
        check_length(octets(signature, "Signature", MAX_CERTIFICATE), "Signature", SIGNATURE_LENGTH),
        tuple(
            _delta(item, f"PowerTableDelta[{index}]")
            for index, item in enumerate(array(deltas, "PowerTableDelta", MAX_ENTRIES))
        ),
    )


def encode_certificate(certificate: Certificate) -> bytes:
    """Return a certificate as CBOR."""
    return encode(
        [
            certificate.instance,
            [[one.epoch, one.key, link(one.power_table), one.commitments] for one in certificate.chain],
            [certificate.commitments, link(certificate.power_table)],
            bitfield.encode(bitfield.runs_of(certificate.signers)),
            certificate.signature,
            [[delta.id, power_bytes(delta.power), delta.key] for delta in certificate.deltas],
        ]
    )


def read_certificate(value: Any) -> Certificate:
    """Read a certificate from the JSON of `Filecoin.F3GetCertificate`. Raises InvalidCertificate."""
    chain = array(field(value, "ECChain", "certificate"), "ECChain", MAX_TIPSETS)
    supplemental = field(value, "SupplementalData", "certificate")
    deltas = array(value.get("PowerTableDelta") or [], "PowerTableDelta", MAX_ENTRIES)
    signature = base64_octets(field(value, "Signature", "certificate"), "Signature", SIGNATURE_LENGTH)
    return Certificate(
        uint64(field(value, "GPBFTInstance", "certificate"), "GPBFTInstance"),
        tuple(_json_tipset(item, f"ECChain[{index}]") for index, item in enumerate(chain)),
        _json_digest(supplemental, "SupplementalData"),
        json_cid(field(supplemental, "PowerTable", "SupplementalData"), "SupplementalData: PowerTable"),
        _signers(lambda: _json_runs(field(value, "Signers", "certificate"))),
        check_length(signature, "Signature", SIGNATURE_LENGTH),
        tuple(_json_delta(item, f"PowerTableDelta[{index}]") for index, item in enumerate(deltas)),
    )


def _signers(read_runs: Callable[[], list[int]]) -> tuple[int, ...]:
    try:
        return tuple(bitfield.positions(read_runs(), MAX_ENTRIES))
    except bitfield.BitfieldError as error:
        raise InvalidCertificate(f"Signers: {error}") from None


def _tipset(value: Any, name: str) -> Tipset:
    epoch, key, power_table, commitments = record(value, name, 4)
    return Tipset(
        int64(epoch, f"{name}: Epoch"),
        octets(key, f"{name}: Key", MAX_KEY_BYTES),
        linked_cid(power_table, f"{name}: PowerTable"),
        _digest(commitments, f"{name}: Commitments"),
    )


def _delta(value: Any, name: str) -> PowerDelta:
    participant, change, key = record(value, name, 3)
    change_name = f"{name}: PowerDelta"
    return PowerDelta(
        uint64(participant, f"{name}: ParticipantID"),
        parse_power(octets(change, change_name, MAX_POWER), change_name),
        octets(key, f"{name}: SigningKey", MAX_KEY),
    )


def _digest(value: Any, name: str) -> bytes:
    return check_length(octets(value, name, _DIGEST), name, _DIGEST)


def _json_tipset(value: Any, name: str) -> Tipset:
    blocks = array(field(value, "Key", name), f"{name}: Key", MAX_KEY_BYTES)
    key = b"".join(json_cid(block, f"{name}: Key[{index}]") for index, block in enumerate(blocks))
    return Tipset(
        int64(field(value, "Epoch", name), f"{name}: Epoch"),
        octets(key, f"{name}: Key", MAX_KEY_BYTES),
        json_cid(field(value, "PowerTable", name), f"{name}: PowerTable"),
        _json_digest(value, name),
    )


def _json_delta(value: Any, name: str) -> PowerDelta:
    return PowerDelta(
        uint64(field(value, "ParticipantID", name), f"{name}: ParticipantID"),
        decimal_power(field(value, "PowerDelta", name), f"{name}: PowerDelta"),
        base64_octets(field(value, "SigningKey", name), f"{name}: SigningKey", MAX_KEY),
    )


def _json_digest(value: Any, name: str) -> bytes:
    text = field(value, "Commitments", name)
    name = f"{name}: Commitments"
    data = base64_octets(text, name, _DIGEST)
    return check_length(data, name, _DIGEST)


def _json_runs(value: Any) -> list[int]:
    runs = array(value, "Signers", MAX_ENTRIES + 1)
    return [uint64(length, f"Signers[{index}]") for index, length in enumerate(runs)]
