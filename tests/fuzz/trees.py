"""Mutations of data model values and of bytes, used by all targets."""

from collections.abc import Callable
from random import Random
from typing import Any

from store.cid import DAG_CBOR, RAW, cid_of
from store.codec import link

NUMBERS = (
    0, 1, -1, 2, 23, 24, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63), -(2**64),
)  # fmt: skip
TEXTS = ("", "a", "/", "0", "-1", "0x", "0x0", "latest", "\0", "é", "\U0001f600", "a" * 100, "f01", "Int", "\u2028")


def mutated(value: Any, rng: Random) -> Any:
    """Return a value changed in one place or a few; the given value is unchanged."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _once(value, rng)
    return value


def _once(value: Any, rng: Random) -> Any:
    if isinstance(value, list) and value and rng.random() < 0.9:
        return _list(list(value), rng)
    if isinstance(value, dict) and value and rng.random() < 0.9:
        return _map(dict(value), rng)
    if rng.random() < 0.03:
        return rng.choice(([value], {"a": value}, [value, value], [[[[value]]]]))
    if rng.random() < 0.85:
        return _like(value, rng)
    return random_value(rng)


def _list(items: list[Any], rng: Random) -> list[Any]:
    at, other = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(12):
        case 0:
            del items[at]
        case 1:
            items.insert(at, items[other])
        case 2:
            items[at], items[other] = items[other], items[at]
        case 3:
            items[at] = random_value(rng)
        case 4 if len(items) < 64:
            items *= 2
        case _:
            items[at] = _once(items[at], rng)
    return items


def _map(entries: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    key, other = rng.choice([*entries]), rng.choice([*entries])
    match rng.randrange(10):
        case 0:
            del entries[key]
        case 1:
            entries[text(rng, str(key))] = entries[key]
        case 2:
            entries[key] = entries[other]
        case 3:
            entries[key] = random_value(rng)
        case _:
            entries[key] = _once(entries[key], rng)
    return entries


def _like(value: Any, rng: Random) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random_number(rng, value)
    if isinstance(value, float):
        return rng.choice((0.0, -0.0, 1.5, value * 2, 1e308, 5e-324, -value))
    if isinstance(value, bytes):
        return scrambled(value, rng)
    if isinstance(value, str):
        return text(rng, value)
    return random_value(rng)


def random_number(rng: Random, near: int = 0) -> int:
    """Return a number near another, or at the edge of a range."""
    return rng.choice(
        (near + 1, near - 1, near ^ (1 << rng.randrange(64)), -near, rng.choice(NUMBERS), rng.choice(NUMBERS))
    )


def text(rng: Random, near: str = "") -> str:
    """Return a text similar to another, or an odd one."""
    at = rng.randrange(len(near) + 1)
    changes: tuple[Callable[[], str], ...] = (
        lambda: rng.choice(TEXTS),
        lambda: near[:at] + rng.choice(TEXTS) + near[at:],
        lambda: near[:at] + near[at + 1 :],
        lambda: near[:at],
        lambda: near[:at] + chr(rng.randrange(32, 127)) + near[at + 1 :],
    )
    return rng.choice(changes)()


def scrambled(data: bytes, rng: Random) -> bytes:
    """Return bytes similar to others: flipped, truncated, repeated, replaced."""
    at = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0 if data:
            return data[:at] + bytes((data[at % len(data)] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
        case 1:
            return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
        case 2:
            return data[:at] + data[at + rng.randrange(1, 5) :]
        case 3:
            return data[:at] + (data[at : at + 16] * 2) + data[at + 16 :]
        case 4:
            width = rng.choice((1, 2, 4, 8, 32))
            return data[:at] + (rng.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "big") + data[at + width :]
        case 5:
            return (
                data[:at] + rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"\x01")) * rng.randrange(1, 33) + data[at:]
            )
        case _:
            return data[:at]


def random_value(rng: Random) -> Any:
    """Return a small value of any kind."""
    choices: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(NUMBERS),
        lambda: rng.randbytes(rng.randrange(40)),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice((None, True, False)),
        list,
        dict,
        lambda: rng.random() * 10.0 ** rng.randrange(-9, 300),
        lambda: link(cid_of(rng.randbytes(2), rng.choice((DAG_CBOR, RAW)))),
    )
    return rng.choice(choices)()
