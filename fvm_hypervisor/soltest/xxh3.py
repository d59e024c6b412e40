"""XXH3 hash with 64 bits, which forge's cache uses for source contents. No seed, the default secret.

Rules: the specification of XXH3 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

_MASK: Final = (1 << 64) - 1
_P32: Final = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_P64: Final = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip
_MX1: Final = 0x165667919E3779F9
_MX2: Final = 0x9FB21C651E98DF25
_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_STRIPE: Final = 64
_STRIPES: Final = (len(_SECRET) - _STRIPE) // 8
"""Number of stripes in a block; each uses the secret at an offset eight bytes further."""


def xxh3_64(data: bytes) -> int:
    """Return the hash of bytes."""
    size = len(data)
    if size > 240:
        return _long(data)
    if size > 128:
        return _to_240(data)
    if size > 16:
        return _to_128(data)
    if size > 8:
        low = _r64(data, 0) ^ _s64(24) ^ _s64(32)
        high = _r64(data, size - 8) ^ _s64(40) ^ _s64(48)
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return _avalanche(size + swapped + high + _fold(low, high))
    if size > 3:
        return _to_8(data)
    if size:
        mixed = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return _avalanche_64(mixed ^ unpack_from("<I", _SECRET, 0)[0] ^ unpack_from("<I", _SECRET, 4)[0])
    return _avalanche_64(_s64(56) ^ _s64(64))


def _r64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _s64(at: int) -> int:
    return _r64(_SECRET, at)


def _fold(first: int, second: int) -> int:
    product = first * second
    return (product & _MASK) ^ (product >> 64)


def _avalanche(value: int) -> int:
    value &= _MASK
    value = (value ^ value >> 37) * _MX1 & _MASK
    return value ^ value >> 32


def _avalanche_64(value: int) -> int:
    value = (value ^ value >> 33) * _P64[1] & _MASK
    value = (value ^ value >> 29) * _P64[2] & _MASK
    return value ^ value >> 32


def _mix(data: bytes, at: int, secret: int) -> int:
    return _fold(_r64(data, at) ^ _s64(secret), _r64(data, at + 8) ^ _s64(secret + 8))


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _MASK


def _to_8(data: bytes) -> int:
    size = len(data)
    first, last = (int.from_bytes(part, "little") for part in (data[:4], data[-4:]))
    value = (last + (first << 32)) ^ _s64(8) ^ _s64(16)
    value ^= _rotate(value, 49) ^ _rotate(value, 24)
    value = value * _MX2 & _MASK
    value = (value ^ (value >> 35) + size) * _MX2 & _MASK
    return value ^ value >> 28


def _to_128(data: bytes) -> int:
    size = len(data)
    total = size * _P64[0]
    for pair in range((size - 1) // 32, -1, -1):
        total += _mix(data, 16 * pair, 32 * pair) + _mix(data, size - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(total)


def _to_240(data: bytes) -> int:
    size = len(data)
    total = _avalanche(size * _P64[0] + sum(_mix(data, 16 * part, 16 * part) for part in range(8)))
    total += sum(_mix(data, 16 * part, 16 * (part - 8) + 3) for part in range(8, size // 16))
    return _avalanche(total + _mix(data, size - 16, 119))


def _long(data: bytes) -> int:
    lanes = [_P32[2], *_P64[:4], _P32[1], _P64[4], _P32[0]]
    whole = (len(data) - 1) // _STRIPE
    for stripe in range(whole):
        _accumulate(lanes, data, stripe * _STRIPE, 8 * (stripe % _STRIPES))
        if stripe % _STRIPES == _STRIPES - 1:
            for lane, key in enumerate(unpack_from("<8Q", _SECRET, len(_SECRET) - _STRIPE)):
                value = lanes[lane]
                lanes[lane] = (value ^ value >> 47 ^ key) * _P32[0] & _MASK
    _accumulate(lanes, data, len(data) - _STRIPE, len(_SECRET) - _STRIPE - 7)
    total = len(data) * _P64[0]
    for lane in range(0, 8, 2):
        total += _fold(lanes[lane] ^ _s64(11 + 8 * lane), lanes[lane + 1] ^ _s64(19 + 8 * lane))
    return _avalanche(total)


def _accumulate(lanes: list[int], data: bytes, at: int, secret: int) -> None:
    values, keys = unpack_from("<8Q", data, at), unpack_from("<8Q", _SECRET, secret)
    for lane, value in enumerate(values):
        key = value ^ keys[lane]
        lanes[lane ^ 1] = (lanes[lane ^ 1] + value) & _MASK
        lanes[lane] = (lanes[lane] + (key & 0xFFFFFFFF) * (key >> 32)) & _MASK
