"""Names for the prices of a price list, to print and change individual ones.

A name is a field of `PriceList` or a part of one: `syscall`, `invoke.flat`, `hashes.keccak_256.per_unit`,
`verify_aggregate.8.per_item`, `verify_aggregate.8.from_4` (the step from four items on). A price that is None in a list
(such as `randomness_entropy` in later ones) has no name there. Values are milligas, except those of `COUNTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.gas import in_gas
from hypervisor.prices import Price, PriceList, StepPrice

COUNTS: Final = frozenset({"message_storage_bytes"})
"""Names of values that are not gas: bytes that a message takes in addition to its length."""
_KEY_NAMES: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType(
    {
        "hashes": {
            0x12: "sha2_256",
            0x1B: "keccak_256",
            0x1053: "ripemd_160",
            0xB220: "blake2b_256",
            0xB240: "blake2b_512",
        }
    }
)
"""Names for keys of table fields; other keys are written as numbers, such as the type of a proof."""


def price_values(prices: PriceList) -> dict[str, int]:
    """Return the prices of a list by name, in field order."""
    found: dict[str, int] = {}
    for each in fields(prices):
        found.update(_parts(each.name, getattr(prices, each.name)))
    return found


def _parts(name: str, value: Any) -> Iterator[tuple[str, int]]:
    match value:
        case int():
            yield name, value
        case Price(flat, per_unit):
            yield from ((f"{name}.flat", flat), (f"{name}.per_unit", per_unit))
        case StepPrice(per_item, steps):
            yield f"{name}.per_item", per_item
            yield from ((f"{name}.from_{start}", cost) for start, cost in steps)
        case Mapping():
            for key, item in value.items():
                yield from _parts(_key_name(name, key), item)
        case _:
            pass  # the list's name, the preloaded actors, prices of another machine generation


def _key_name(name: str, key: int) -> str:
    return f"{name}.{_KEY_NAMES.get(name, {}).get(key, str(key))}"


def with_prices(prices: PriceList, changes: Mapping[str, int], name: str) -> PriceList:
    """Return a copy of a list with a new name and changed prices. Raises InvalidInput for an unknown price."""
    for changed in changes:
        check_price_name(changed, price_values(prices), f"the price list {prices.name}")
    fresh = {}
    for each in fields(prices):
        value = getattr(prices, each.name)
        if any(changed.partition(".")[0] == each.name for changed in changes):
            fresh[each.name] = _apply_changes(each.name, value, changes)
    return prices.successor(name, **fresh)


def _apply_changes(name: str, value: Any, changes: Mapping[str, int]) -> Any:
    match value:
        case int():
            return changes.get(name, value)
        case Price(flat, per_unit):
            return Price(changes.get(f"{name}.flat", flat), changes.get(f"{name}.per_unit", per_unit))
        case StepPrice(per_item, steps):
            dearer = tuple((start, changes.get(f"{name}.from_{start}", cost)) for start, cost in steps)
            return replace(value, per_item=changes.get(f"{name}.per_item", per_item), steps=dearer)
        case Mapping():
            return MappingProxyType(
                {key: _apply_changes(_key_name(name, key), item, changes) for key, item in value.items()}
            )
        case _:
            return value


def check_price_name(name: str, known: Mapping[str, int], whose: str) -> None:
    """Raise InvalidInput for an unknown name, with its parts or the closest known name."""
    if name in known:
        return
    from difflib import get_close_matches  # imported only for error messages

    parts = [each for each in known if each.startswith(f"{name}.")]
    near = parts or get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise InvalidInput(f"{whose} has no price {name!r:.80}: {hint}`hypervisor compare --list-prices` prints the names")


def show_price(name: str, value: int) -> str:
    """Format a value as the command line prints and accepts it: in gas, or as a number of bytes."""
    if name in COUNTS:
        return f"{value:,} bytes"
    return in_gas(value)
