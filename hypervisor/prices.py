"""Price lists as data, and names for single prices. Amounts are in milligas (1/1000 gas) unless stated otherwise.

A network version names one list; lists are defined by their differences. `runtimes.wasm` defines which WASM
instructions are charged. Source: ref-fvm fvm/src/gas/price_list.rs (v4: Watermelon, Teep; v3: Hygge).

A price is printed and changed by its name: a field of `PriceList` or a part of one, such as `syscall`, `invoke.flat`,
`hashes.keccak_256.per_unit`, `verify_aggregate.8.per_item`, `verify_aggregate.8.from_4` (the step from four items on).
A price that is None in a list (such as `randomness_entropy` in later ones) has no name there. Values are milligas,
except those of `COUNTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.gas import in_gas

_G = 1000  # milligas in a gas


@dataclass(frozen=True, slots=True)
class Price:
    """A flat part and a part per unit (byte, link, epoch, item), in milligas."""

    flat: int = 0
    per_unit: int = 0

    def of(self, units: int = 0) -> int:
        return self.flat + self.per_unit * units


@dataclass(frozen=True, slots=True)
class StepPrice:
    """A price per item plus a step by the number of items: (first number, milligas) in ascending order."""

    per_item: int
    steps: tuple[tuple[int, int], ...]

    def of(self, items: int) -> int:
        return self.per_item * items + max((cost for start, cost in self.steps if items >= start), default=0)


def _steps(per_item: int, **steps: int) -> StepPrice:
    return StepPrice(per_item * _G, tuple((int(start[1:]), cost * _G) for start, cost in steps.items()))


_AGGREGATE_32_GIB = _steps(
    449_900, n4=103_994_170, n7=112_356_810, n13=122_912_610, n26=137_559_930,
    n52=162_039_100, n103=210_960_780, n205=318_351_180, n410=528_274_980,
)  # fmt: skip
_AGGREGATE_64_GIB = _steps(
    359_272, n4=102_581_240, n7=110_803_030, n13=120_803_700, n26=134_642_130,
    n52=157_357_890, n103=203_017_690, n205=304_253_590, n410=509_880_640,
)  # fmt: skip
_AGGREGATE_NI_32_GIB = _steps(
    5_668_740, n1=112_356_810, n2=122_912_610, n3=137_559_930, n5=162_039_100,
    n9=210_960_780, n17=318_351_180, n33=528_274_980,
)  # fmt: skip
_AGGREGATE_NI_64_GIB = _steps(
    4_526_928, n1=110_803_030, n2=120_803_700, n3=134_642_130, n5=157_357_890,
    n9=203_017_690, n17=304_253_590, n33=509_880_640,
)  # fmt: skip

_HASHES = MappingProxyType(
    {0x12: Price(0, 7 * _G), 0xB220: Price(0, 10 * _G), 0xB240: Price(0, 10 * _G), 0x1B: Price(0, 33 * _G),
     0x1053: Price(0, 35 * _G)}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PriceList:
    """Charges of the kernel, the call manager and the executor under one set of rules."""

    name: str

    # messages
    message_compute: int = 38_863 * _G
    message_storage_bytes: int = 36
    storage_per_byte: int = 1_300 * _G
    # actors and state
    syscall: int = 14_000 * _G
    transfer: int = 6_000 * _G
    invoke: Price = Price(75_000 * _G, 300 * _G)
    return_per_link: int = 300 * _G
    actor_lookup: int = 500_000 * _G
    actor_update: int = 475_000 * _G
    actor_create: int = 650_000 * _G
    address_lookup: int = 1_050_000 * _G
    address_assignment: int = 1_000_000 * _G
    preloaded_actors: frozenset[int] = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 10, 99})
    # blocks
    memory_copy_per_byte: int = 400
    memory_allocate_per_byte: int = 2 * _G
    memory_retain_per_byte: int = 10 * _G
    block_open_flat: int = 187_440 * _G
    block_persist_compute: int = 172_000 * _G
    block_persist_storage: Price = Price(334_000 * _G, 3_340 * _G)
    block_persist_hash_per_byte: int = 10 * _G
    link_tracked: int = 300 * _G
    link_checked: int = 300 * _G
    scan_per_field: int = 35 * _G
    scan_per_cid: int = 400 * _G
    # events
    event: Price = Price(2_000 * _G, 1_400 * _G)
    event_utf8: Price = Price(500 * _G, 16 * _G)
    # history
    lookback: Price = Price(146_200 * _G, 75 * _G)
    # WASM code
    wasm_instruction: int = 4 * _G
    wasm_memory_per_byte: int = 400
    # cryptography
    hashes: Mapping[int, Price] = field(default_factory=lambda: _HASHES)
    verify_secp256k1: Price = Price(1_637_292 * _G, 10 * _G)
    verify_bls: Price = Price(16_598_605 * _G, 26 * _G)
    recover_secp256k1: int = 1_637_292 * _G
    bls_aggregate_pairing: int = 8_299_302 * _G
    bls_aggregate_per_byte: int = 7 * _G
    # proofs
    unsealed_sector_cid: int = 98_647 * _G
    verify_seal: int = 2_000 * _G
    verify_consensus_fault: int = 516_422 * _G
    verify_replica_update: int = 36_316_136 * _G
    verify_post: Price = Price(117_680_921 * _G, 43_780 * _G)
    verify_aggregate: Mapping[int, StepPrice] = field(
        default_factory=lambda: MappingProxyType({8: _AGGREGATE_32_GIB, 9: _AGGREGATE_64_GIB})
    )
    # machine version 3: the host hashes randomness, and tipset CIDs have separate prices
    randomness_entropy: Price | None = None
    tipset_cid_recent: int | None = None
    tipset_cid_older: int | None = None
    event_validate_v3: Price | None = None
    event_accept_v3: Price | None = None

    def successor(self, name: str, **changes: Any) -> PriceList:
        """Return a list that differs from this one in the named fields only."""
        return replace(self, name=name, **changes)

    def message_inclusion(self, length: int) -> int:
        """Return the charge for including a message of `length` bytes on chain."""
        return self.message_compute + self.actor_update + self.storage_per_byte * (self.message_storage_bytes + length)

    def block_link(self, size: int) -> int:
        """Return the charge for writing a block to the state."""
        per_byte = (
            self.memory_copy_per_byte
            + self.memory_allocate_per_byte
            + self.block_persist_hash_per_byte
            + self.block_persist_storage.per_unit
        )
        return self.block_persist_compute + self.block_persist_storage.flat + self.link_tracked + per_byte * size

    def events(self, count: int, key_bytes: int, value_bytes: int) -> tuple[int, int]:
        """Return the charge for an event of `count` entries (machine version 4), and its storage part."""
        size = 12 + 9 * count + key_bytes + value_bytes
        copy = (self.memory_copy_per_byte + self.memory_allocate_per_byte) * size
        storage = self.block_persist_hash_per_byte * size + copy
        return storage + 2 * copy + self.event.of(count) + self.event_utf8.of(key_bytes), storage


WATERMELON = PriceList("Watermelon")
"""Network versions 21 to 24."""

HYGGE = WATERMELON.successor(
    "Hygge",
    invoke=Price(75_000 * _G, 0),
    return_per_link=0,
    link_tracked=0,
    link_checked=0,
    scan_per_field=0,
    scan_per_cid=0,
    randomness_entropy=Price((21_000 + 480) * _G, 10 * _G),
    tipset_cid_recent=50_000 * _G,
    tipset_cid_older=215_000 * _G,
    event_validate_v3=Price(1_750 * _G, 27_400),
    event_accept_v3=Price(12 * 15_200, 15_200),
)
"""Network versions 18 to 20."""

TEEP = WATERMELON.successor(
    "Teep",
    verify_seal=42_000_000 * _G,
    verify_aggregate=MappingProxyType(
        {8: _AGGREGATE_32_GIB, 9: _AGGREGATE_64_GIB, 18: _AGGREGATE_NI_32_GIB, 19: _AGGREGATE_NI_64_GIB}
    ),
)
"""Network versions 25 to 28."""


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
