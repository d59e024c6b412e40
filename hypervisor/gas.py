"""The gas tracker, the single source of a message's gas use, and price lists as data.

Charges are in milligas and have a name. Rules (ref-fvm fvm/src/gas): unsigned 64-bit, saturating; reaching the limit
exactly is allowed; a charge beyond it sets `used` to the limit and unwinds. A call with its own limit is a frame.
`gas_outputs` distributes the prepaid amount in attoFIL. Source: ref-fvm fvm/src/gas/outputs.rs.

A network version names one list of prices; lists are defined by their differences. `runtimes.wasm` defines which WASM
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

from hypervisor.errors import InvalidInput, OutOfGas
from hypervisor.tracing import GasCharged, Tracer
from hypervisor.types import MILLIGAS_PER_GAS as MILLIGAS_PER_GAS
from hypervisor.types import Gas, Milligas, TokenAmount

MAX_MILLIGAS = (1 << 64) - 1


def to_milligas(gas: int) -> Milligas:
    """Convert gas to milligas, saturating at 64 bits."""
    return Milligas(min(gas * MILLIGAS_PER_GAS, MAX_MILLIGAS))


class ChargeRefused(OutOfGas):
    """Raised when a charge exceeds the limit; formatted on demand. `per_gas` is the number of units per gas."""

    def __init__(self, name: str, needed: int, left: int, per_gas: int) -> None:
        super().__init__(name)
        self.name = name
        """Name of the charge, shown in traces."""
        self._charge = needed, left, per_gas

    def __str__(self) -> str:
        needed, left, per_gas = self._charge
        return f"out of gas: {in_gas(needed, per_gas)} needed, {in_gas(left, per_gas)} left"


@dataclass(slots=True, eq=False)
class GasTracker:
    """Counts milligas against a limit, in nested frames."""

    limit: int
    used: int = 0
    tracer: Tracer | None = None
    per_gas: int = MILLIGAS_PER_GAS
    """Number of units per gas (1 under Ethereum's rules)."""
    stopped: bool = field(default=False, init=False)
    """True if an interrupt has exhausted the gas."""
    _frames: list[tuple[int, int]] = field(default_factory=list, init=False)

    @property
    def available(self) -> int:
        """Milligas left in the current frame."""
        return self.limit - self.used

    def charge(self, name: str, milligas: int, other: int = 0) -> None:
        """Use `milligas`. Raises OutOfGas if this exceeds the frame's limit. `other` is passed to `GasCharged`."""
        if self.tracer is not None:
            self.tracer.event(GasCharged(name, milligas, other))
        used = self.used + milligas
        if used > self.limit:
            left, self.used = self.limit - self.used, self.limit
            raise ChargeRefused(name, milligas, left, self.per_gas)
        self.used = used

    def try_charge(self, milligas: int) -> bool:
        """Charge the sum of several charges.

        Returns False, charging nothing, if a tracer is active or the frame's limit is exceeded.
        """
        used = self.used + milligas
        if self.tracer is not None or used > self.limit:
            return False
        self.used = used
        return True

    def push(self, limit: int) -> None:
        """Open a frame with at most `limit` milligas, capped at the available gas."""
        self._frames.append((self.limit, self.used))
        self.limit = min(self.available, limit)
        self.used = 0

    def pop(self) -> None:
        """Close the frame and add its use to the enclosing frame."""
        limit, used = self._frames.pop()
        self.limit = limit
        self.used += used

    def exhaust(self) -> None:
        """Set the available gas of all frames to zero, so that execution ends at its next charge.

        Used to stop execution on an interrupt.
        """
        self.stopped = True
        self._frames = [(used, used) for _, used in self._frames]
        self.limit = self.used

    def gas_used(self) -> Gas:
        """Return the gas used as stated in a receipt: whole gas, rounded up."""
        return Gas(-(-self.used // MILLIGAS_PER_GAS))


def in_gas(amount: int, per_gas: int = MILLIGAS_PER_GAS) -> str:
    """Format milligas as gas, or whole gas if `per_gas` is 1."""
    whole, rest = divmod(abs(amount), per_gas)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction}"


_OVERUSE_NUMERATOR = 11
_OVERUSE_DENOMINATOR = 10


@dataclass(slots=True, unsafe_hash=True)
class GasOutputs:
    """The distribution: base fee burn, over-estimation burn, miner penalty and tip, refund to the sender."""

    base_fee_burn: Final[TokenAmount] = TokenAmount(0)
    over_estimation_burn: Final[TokenAmount] = TokenAmount(0)
    miner_penalty: Final[TokenAmount] = TokenAmount(0)
    miner_tip: Final[TokenAmount] = TokenAmount(0)
    refund: Final[TokenAmount] = TokenAmount(0)
    gas_refund: Final[Gas] = Gas(0)
    gas_burned: Final[Gas] = Gas(0)


def overestimation(gas_used: int, gas_limit: int) -> tuple[Gas, Gas]:
    """Return the unused gas as (gas refunded, gas burned)."""
    if gas_used == 0:
        return Gas(0), Gas(gas_limit)
    over = min(max(0, gas_limit - _OVERUSE_NUMERATOR * gas_used // _OVERUSE_DENOMINATOR), gas_used)
    rest = max(0, gas_limit - gas_used)
    burned = rest * over // gas_used
    return Gas(rest - burned), Gas(burned)


def gas_outputs(gas_used: int, gas_limit: int, base_fee: int, fee_cap: int, premium: int) -> GasOutputs:
    """Distribute `fee_cap * gas_limit`. The tip is computed from the gas limit, not from the gas used."""
    pays = min(base_fee, fee_cap)
    penalty = (base_fee - fee_cap) * gas_used if base_fee > fee_cap else 0
    tip_per_gas = min(premium, fee_cap - pays)
    refunded, burned = overestimation(gas_used, gas_limit)
    burn, tip, over_burn = pays * gas_used, tip_per_gas * gas_limit, pays * burned
    penalty += (base_fee - pays) * burned
    refund = fee_cap * gas_limit - burn - tip - over_burn
    return GasOutputs(
        TokenAmount(burn), TokenAmount(over_burn), TokenAmount(penalty), TokenAmount(tip), TokenAmount(refund),
        refunded, burned,
    )  # fmt: skip


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
