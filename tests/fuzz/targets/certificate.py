"""Finality certificates, power tables and their RLE+ bitfields: decoded ones re-encode to the same meaning."""

from collections.abc import Iterator
from random import Random
from typing import Any

from fvm_hypervisor.laboratory.proofs.f3 import (
    Committee,
    InvalidCertificate,
    TrustedState,
    advance,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
)
from store.cid import cid_of
from store.codec import CodecError, decode_strict, encode
from store.trees import bitfield
from tests.fuzz.target import Target, cbor_mutation

COMMITTEE = Committee("fuzz", 3)
START = TrustedState(COMMITTEE.network, 0, COMMITTEE.table)


def run(data: bytes) -> bool:
    return any((_certificate(data), _table(data), _bitfield(data)))


def _certificate(data: bytes) -> bool:
    try:
        certificate = decode_certificate(data)
    except InvalidCertificate:
        return False
    assert decode_certificate(encode_certificate(certificate)) == certificate
    try:
        advance(START, certificate)
    except InvalidCertificate:
        return True
    assert data in VALID, "a certificate that nobody signed is accepted"
    return True


def _table(data: bytes) -> bool:
    try:
        table = decode_power_table(data)
    except InvalidCertificate:
        return False
    assert decode_power_table(encode_power_table(table)) == table
    return True


def _bitfield(data: bytes) -> bool:
    try:
        members = bitfield.positions(bitfield.decode(data), 8192)
    except bitfield.BitfieldError:
        return False
    assert bitfield.encode(bitfield.runs_of(members)) == data
    return True


def _seeds() -> Iterator[bytes]:
    chain = [COMMITTEE.tipset(at, [cid_of(bytes((at,)))] * (1 + at % 3)) for at in range(5)]
    for length, signers in ((1, None), (2, (0, 1)), (5, (0, 2)), (3, (1,))):
        yield encode_certificate(COMMITTEE.certify(0, chain[:length], signers))
    yield encode_certificate(COMMITTEE.certify(1, chain[:2]))
    yield encode_power_table(COMMITTEE.table)
    for members in ((), (0,), (0, 1, 2, 5), tuple(range(3, 40)), (500, 8191)):
        yield bitfield.encode(bitfield.runs_of(members))


def mutate(data: bytes, rng: Random) -> bytes:
    """Return CBOR with one part changed: in three of four cases to another value of the same type and length."""
    if rng.random() < 0.25:
        return _changed(data, rng)
    try:
        value = decode_strict(data)
    except CodecError:
        value = decode_strict(VALID[0])
    return encode(_altered(value, rng))


def _altered(value: Any, rng: Random) -> Any:
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return [*value[:at], _altered(value[at], rng), *value[at + 1 :]]
    if isinstance(value, bytes) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.randbytes(1) + value[at + 1 :]
    return rng.choice((0, 1, value ^ 1, rng.getrandbits(62))) if isinstance(value, int) else value


VALID = tuple(_seeds())
_changed = cbor_mutation(lambda: VALID)
TARGET = Target(run, lambda: VALID, mutate, share=40, longest=2048)
