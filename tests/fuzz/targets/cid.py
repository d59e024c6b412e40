"""CIDs: conversion between bytes and text is reversible."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random

from store.cid import RAW, CidError, cid_of, has_digest, parse_cid, read_cid, show, split_cid, to_public, write_uvarint
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    _text(data)
    try:
        cid, end = read_cid(data)
    except CidError:
        return False
    assert 0 < end <= len(data)
    assert read_cid(cid) == (cid, len(cid))
    parts = split_cid(cid)
    assert parts.version in (0, 1)
    has_digest(cid, b"")
    shown = show(cid)
    assert parse_cid(shown) == cid
    with suppress(CidError):  # a codec or a hash that multiformats does not know
        assert bytes(to_public(cid)) == cid
    return True


def _text(data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        cid = parse_cid(text)
    except CidError:
        return
    assert parse_cid(show(cid)) == cid


def seeds() -> Iterator[bytes]:
    yield cid_of(b"")
    yield cid_of(b"raw", RAW)
    yield cid_of(b"sha", RAW, 0x12)
    yield bytes.fromhex("1220") + bytes(32)
    yield b"\x01\x55\x00\x03abc"
    yield b"\x01\x81\xe2\x03\x92\x20\x20" + bytes(32)
    yield show(cid_of(b"text")).encode()
    yield b"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    yield b"zdj7WhuEjrB52m1BisYCtmjH1hSKa7yZ3jEZ9JcXaFRD51wVz"


def mutate(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return trees.scrambled(data, rng)
    digest = rng.randbytes(rng.choice((0, 1, 20, 32, 32, 48, 64)))
    codec = rng.choice((0x71, 0x55, 0x51, 0x70, 0xF101, 0xF102, 2**63 - 1, rng.getrandbits(30)))
    hash_code = rng.choice((0xB220, 0x12, 0x00, 0x1B, 0x13, 0x1012, 0xB401, rng.getrandbits(20)))
    return b"\x01" + write_uvarint(codec) + write_uvarint(hash_code) + write_uvarint(len(digest)) + digest


TARGET = Target(run, seeds, mutate, share=60, longest=160)
