"""Power tables of F3: the participants of a GossiPBFT instance with their power and keys.

Sources: FIP-0086 and go-f3 (gpbft/powertable.go, certs/certs.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from fvm_hypervisor.laboratory.proofs.f3.values import (
    MAX_POWER,
    array,
    base64_octets,
    check_length,
    decimal_power,
    field,
    octets,
    parse_power,
    power_bytes,
    record,
    uint64,
)
from store import codec
from store.cid import Cid, cid_of

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
