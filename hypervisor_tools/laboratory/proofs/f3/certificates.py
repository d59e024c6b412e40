"""Finality certificates and power tables of F3: CBOR as go-f3 writes it, and JSON as Lotus returns it.

A power table has the participants of a GossiPBFT instance with their power and keys. Each error names the part that is
invalid. Sources: FIP-0086 and go-f3 (certs/certs.go, gpbft/chain.go, gpbft/powertable.go). The limits are those of
go-f3's decoder.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from hypervisor.errors import InvalidInput
from store import codec
from store.cid import Cid, CidError, cid_of, parse_cid, read_cid
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.trees import bitfield


class InvalidCertificate(InvalidInput):
    """Raised for a finality certificate or a power table that fails a check; the text names check and position."""


MAX_UINT64: Final = (1 << 64) - 1
MAX_INT64: Final = (1 << 63) - 1
MAX_CID: Final = 38
"""Maximum length of a CID in bytes. Source: go-f3, gpbft/chain.go, CidMaxLen."""
MAX_POWER: Final = 128
"""Maximum length of a power in bytes, with its sign. Source: go-state-types, big.BigIntMaxSerializedLen."""
MAX_POWER_DIGITS: Final = 308
"""Decimal digits of a power of `MAX_POWER` bytes, with its sign."""


def malformed(name: str, expected: str, value: Any) -> InvalidCertificate:
    """Return the error for a part that has another type or form than expected."""
    shown = f"{len(value):,} items" if isinstance(value, list | dict) else f"{value!r:.60}"
    return InvalidCertificate(f"{name}: expected {expected}, found {type(value).__name__} ({shown})")


def array(value: Any, name: str, limit: int) -> list[Any]:
    """Return a list of at most `limit` items."""
    if not isinstance(value, list):
        raise malformed(name, "an array", value)
    if len(value) > limit:
        raise InvalidCertificate(f"{name}: {len(value):,} items, the limit is {limit:,}")
    return value


def record(value: Any, name: str, length: int) -> list[Any]:
    """Return a list of exactly `length` fields."""
    if not isinstance(value, list) or len(value) != length:
        raise malformed(name, f"an array of {length} fields", value)
    return value


def field(value: Any, key: str, name: str) -> Any:
    """Return a field of a JSON object."""
    if not isinstance(value, dict):
        raise malformed(name, "a JSON object", value)
    if key not in value:
        raise InvalidCertificate(f"{name}: the field {key} is missing")
    return value[key]


def uint64(value: Any, name: str) -> int:
    """Return an integer from 0 to 2^64 - 1."""
    if not _is_integer(value) or not 0 <= value <= MAX_UINT64:
        raise malformed(name, "an integer from 0 to 2^64 - 1", value)
    return value


def int64(value: Any, name: str) -> int:
    """Return an integer from -2^63 to 2^63 - 1."""
    if not _is_integer(value) or not -MAX_INT64 - 1 <= value <= MAX_INT64:
        raise malformed(name, "an integer of 64 bits", value)
    return value


def octets(value: Any, name: str, limit: int) -> bytes:
    """Return a byte string of at most `limit` bytes."""
    if not isinstance(value, bytes):
        raise malformed(name, "a byte string", value)
    if len(value) > limit:
        raise InvalidCertificate(f"{name}: {len(value):,} bytes, the limit is {limit:,}")
    return value


def base64_octets(value: Any, name: str, limit: int) -> bytes:
    """Return the bytes of a base64 text; null is the empty string, as in Go's JSON."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise malformed(name, "base64 text", value)
    if len(value) > (limit + 2) // 3 * 4:
        raise InvalidCertificate(f"{name}: longer than {limit:,} bytes")
    try:
        return octets(b64decode(value, validate=True), name, limit)
    except (binascii.Error, ValueError):
        raise malformed(name, "base64 text", value) from None


def check_length(data: bytes, name: str, length: int) -> bytes:
    """Return `data` if it has exactly `length` bytes."""
    if len(data) != length:
        raise InvalidCertificate(f"{name}: {len(data)} bytes, expected {length}")
    return data


def linked_cid(value: Any, name: str) -> Cid:
    """Return the CID of a DAG-CBOR link."""
    try:
        return _short(unlink(value), name)
    except CodecError:
        raise malformed(name, "a CID", value) from None


def json_cid(value: Any, name: str) -> Cid:
    """Return the CID of a DAG-JSON link, `{"/": "bafy..."}`."""
    text = field(value, "/", name)
    if not isinstance(text, str) or len(text) > 4 * MAX_CID:
        raise malformed(name, "a CID", text)
    try:
        return _short(parse_cid(text), name)
    except CidError as error:
        raise InvalidCertificate(f"{name}: {error}") from None


def parse_power(data: bytes, name: str) -> int:
    """Decode a power: the empty string is 0, any other value has a sign byte (0 or 1) and a big-endian number."""
    if not data:
        return 0
    if data[0] > 1:
        raise InvalidCertificate(f"{name}: the sign byte is {data[0]}, expected 0 or 1")
    number = int.from_bytes(data[1:], "big")
    return -number if data[0] else number


def power_bytes(number: int) -> bytes:
    """Encode a power."""
    if not number:
        return b""
    size = (abs(number).bit_length() + 7) // 8
    return (b"\x01" if number < 0 else b"\x00") + abs(number).to_bytes(size, "big")


def decimal_power(value: Any, name: str) -> int:
    """Return a power from decimal text."""
    text = value[1:] if isinstance(value, str) and value.startswith("-") else value
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > MAX_POWER_DIGITS:
        raise malformed(name, "a decimal number as text", value)
    number = int(value)
    if len(power_bytes(number)) > MAX_POWER:
        raise InvalidCertificate(f"{name}: longer than {MAX_POWER} bytes")
    return number


def _is_integer(value: Any) -> TypeGuard[int]:
    return type(value) is int


def _short(cid: Cid, name: str) -> Cid:
    if len(cid) > MAX_CID:
        raise InvalidCertificate(f"{name}: a CID of {len(cid)} bytes, the limit is {MAX_CID}")
    return cid


MAX_ENTRIES: Final = 8192
"""Maximum number of entries of a table and of a delta. Source: the limit of go-f3's CBOR decoder."""
MAX_KEY: Final = 48
_MAX_SCALED: Final = 0xFFFF
_MAX_ENTRY: Final = 192
"""Maximum length of an encoded entry in bytes, rounded up."""


@dataclass(frozen=True, slots=True)
class PowerEntry:
    """A participant: actor ID, power (quality-adjusted bytes) and compressed BLS public key."""

    id: int
    power: int
    key: bytes


@dataclass(frozen=True, slots=True)
class PowerDelta:
    """A change of a participant between two instances. An empty key means that the key does not change."""

    id: int
    power: int
    key: bytes


PowerTable = tuple[PowerEntry, ...]
"""The entries by descending power, then by ascending ID."""


def read_power_table(value: Any) -> PowerTable:
    """Read a table from the JSON of `Filecoin.F3GetPowerTableByInstance` or `Filecoin.F3GetF3PowerTable`.

    Raises InvalidCertificate if an entry is malformed, if an ID occurs twice, if a power is not positive, if a key is
    not 48 bytes, or if the entries are not in order.
    """
    entries = []
    for index, item in enumerate(array(value, "power table", MAX_ENTRIES)):
        name = f"power table: entry {index}"
        actor = uint64(field(item, "ID", name), f"{name}: ID")
        power = decimal_power(field(item, "Power", name), f"{name}: Power")
        key = base64_octets(field(item, "PubKey", name), f"{name}: PubKey", MAX_KEY)
        entries.append(PowerEntry(actor, power, key))
    return check_power_table(entries)


def decode_power_table(data: bytes) -> PowerTable:
    """Decode a table from DAG-CBOR, the encoding that its CID refers to. Raises the errors of `read_power_table`."""
    if len(data) > MAX_ENTRIES * _MAX_ENTRY:
        raise InvalidCertificate(f"power table: {len(data):,} bytes, the limit is {MAX_ENTRIES * _MAX_ENTRY:,}")
    try:
        value = codec.decode_strict(data)
    except codec.CodecError as error:
        raise InvalidCertificate(f"power table: {error}") from None
    entries = []
    for index, item in enumerate(array(value, "power table", MAX_ENTRIES)):
        name = f"power table: entry {index}"
        actor, power, key = record(item, name, 3)
        power_name = f"{name}: Power"
        number = parse_power(octets(power, power_name, MAX_POWER), power_name)
        entries.append(PowerEntry(uint64(actor, f"{name}: ID"), number, octets(key, f"{name}: PubKey", MAX_KEY)))
    return check_power_table(entries)


def encode_power_table(table: Iterable[PowerEntry]) -> bytes:
    """Return the DAG-CBOR of a table."""
    return codec.encode([[entry.id, power_bytes(entry.power), entry.key] for entry in table])


def check_power_table(entries: Sequence[PowerEntry]) -> PowerTable:
    """Return the entries as a table. Raises InvalidCertificate if they break a rule of `read_power_table`."""
    if not entries:
        raise InvalidCertificate("power table: it has no entries")
    if len({entry.id for entry in entries}) != len(entries):
        raise InvalidCertificate("power table: an ID occurs twice")
    for index, entry in enumerate(entries):
        if entry.power <= 0:
            raise InvalidCertificate(f"power table: entry {index}: the power {entry.power} is not positive")
        check_length(entry.key, f"power table: entry {index}: PubKey", MAX_KEY)
    ordered = _sort_entries(entries)
    if ordered != tuple(entries):
        at = next(index for index, (a, b) in enumerate(zip(ordered, entries, strict=True)) if a != b)
        raise InvalidCertificate(f"power table: entry {at} is not in order: descending power, then ID")
    return ordered


def power_table_cid(table: Iterable[PowerEntry]) -> Cid:
    """Return the CID of a table: blake2b-256 of its DAG-CBOR."""
    return cid_of(encode_power_table(table))


def scaled_powers(table: PowerTable) -> list[int]:
    """Return the powers as shares of 65,535, rounded down."""
    total = sum(entry.power for entry in table)
    return [_MAX_SCALED * entry.power // total for entry in table]


def apply_deltas(table: PowerTable, deltas: Iterable[PowerDelta]) -> PowerTable:
    """Return the table after changes. Raises InvalidCertificate for a change that breaks a rule of go-f3."""
    entries = {entry.id: entry for entry in table}
    last = -1
    for index, delta in enumerate(deltas):
        name = f"PowerTableDelta[{index}] (participant {delta.id})"
        if delta.id <= last:
            raise InvalidCertificate(f"{name}: not in ascending order of participants")
        last = delta.id
        if not delta.power and not delta.key:
            raise InvalidCertificate(f"{name}: changes nothing")
        entry = _apply_delta(entries.get(delta.id), delta, name)
        if entry.power:
            entries[delta.id] = entry
        else:
            del entries[delta.id]
    if len(entries) > MAX_ENTRIES:
        raise InvalidCertificate(
            f"PowerTableDelta: the table would have {len(entries):,} entries, the limit is {MAX_ENTRIES:,}"
        )
    return _sort_entries(entries.values())


def _apply_delta(entry: PowerEntry | None, delta: PowerDelta, name: str) -> PowerEntry:
    if entry is None:
        if delta.power <= 0:
            raise InvalidCertificate(f"{name}: a new participant needs positive power, not {delta.power}")
        if not delta.key:
            raise InvalidCertificate(f"{name}: a new participant needs a key")
        return PowerEntry(delta.id, delta.power, delta.key)
    if delta.key == entry.key:
        raise InvalidCertificate(f"{name}: the key is unchanged; a delta must omit it")
    power = entry.power + delta.power
    if power < 0:
        raise InvalidCertificate(f"{name}: the power becomes negative ({power})")
    if delta.key and not power:
        raise InvalidCertificate(f"{name}: a delta that removes a participant must not have a key")
    return PowerEntry(entry.id, power, delta.key or entry.key)


def _sort_entries(entries: Iterable[PowerEntry]) -> PowerTable:
    return tuple(sorted(entries, key=lambda entry: (-entry.power, entry.id)))


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
