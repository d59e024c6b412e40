"""XXH3: the hashes of the reference implementation, for each range of lengths that it treats alike."""

from __future__ import annotations

import pytest

from fvm_hypervisor.soltest.xxh3 import xxh3_64

REFERENCE = {
    0: 0x2D06800538D394C2, 1: 0xC44BDFF4074EECDB, 3: 0xC3489259E968AD9E, 4: 0xD3D60C1519014E89,
    8: 0xB88DEE77F6BF6980, 9: 0x03688DCAD730D826, 16: 0x9DA23836ADF2BE1E, 17: 0xF34C3C9CF5A112D1,
    32: 0x99CB9AD0F1A11FBE, 33: 0xC077B45492D29CDE, 64: 0xFAECD52EFFBB854F, 65: 0xFD2B8A4F15D954D0,
    96: 0x8F8A0C940D32E958, 97: 0x92B3A831FEBF71AC, 128: 0x4C659B745F435148, 129: 0xB85222B83902B6E5,
    240: 0xD6DFBF67B0675B54, 241: 0xC614C8C3575348C1, 1024: 0xF22EF3DC84FF47EA, 1025: 0x43F869A83769A435,
    4096: 0x5D9027C84D5F33F7,
}  # fmt: skip
"""Hashes by libxxhash 0.8.1, by length, of bytes that increase by seven, modulo 251."""


@pytest.mark.parametrize(("length", "expected"), REFERENCE.items())
def test_the_hash_is_the_reference_implementations(length: int, expected: int) -> None:
    assert xxh3_64(bytes(place * 7 % 251 for place in range(length))) == expected
