"""Slightly invalid parameters: one place of a CBOR value replaced, or the bytes truncated, extended or flipped."""

from random import Random
from typing import Any

from store.codec import CodecError, decode, encode

_STRANGE: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, b"", b"\x00", b"\x01", b"\x00" + b"\xff" * 32,
    b"\x01" + b"\xff" * 32, b"\x00" * 129, b"\xff" * 20, "", "text", [], [[]], [0], 1.5, b"\x00\x01", b"\x00\x63",
    b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01",
)  # fmt: skip


def damaged(params: bytes, random: Random) -> bytes:
    """Return one damaged form of an encoded value."""
    kind = random.randrange(8)
    if kind == 0:
        return params[: random.randrange(len(params))]
    if kind == 1:
        return params + random.randbytes(random.randrange(1, 4))
    if kind == 2:
        place = random.randrange(len(params))
        return params[:place] + bytes([random.randrange(256)]) + params[place + 1 :]
    try:
        return encode(_replace(decode(params), random))
    except CodecError:
        return params


def _replace(value: Any, random: Random) -> Any:
    """Return the value with one place changed; lists are mostly descended into."""
    if isinstance(value, list) and value and random.random() < 0.85:
        place = random.randrange(len(value))
        return _in_list(value, place, random)
    if isinstance(value, int) and random.random() < 0.6:
        return value + random.choice((-1, 1, 7, 2**20, -(2**20)))
    if isinstance(value, bytes) and value and random.random() < 0.5:
        place = random.randrange(len(value))
        return value[:place] + bytes([value[place] ^ 1 << random.randrange(8)]) + value[place + 1 :]
    return random.choice(_STRANGE)


def _in_list(value: list[Any], place: int, random: Random) -> list[Any]:
    match random.randrange(10):
        case 0:
            return value[:place] + value[place + 1 :]
        case 1:
            return [*value, value[place]]
        case 2:
            return [*value[:place], value[place], value[place], *value[place + 1 :]]
        case _:
            return [*value[:place], _replace(value[place], random), *value[place + 1 :]]
