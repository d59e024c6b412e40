"""Overlay files: TOML, validated completely before anything runs.

    since = 29                     # the first network version that it applies to (default: the oldest known)
    until = 29                     # the last one (default: all later ones)

    [prices]                       # in gas, by the names that `hypervisor compare --list-prices` prints
    block_persist_compute = 86_000
    invoke.flat = 100_000

    [rules]                        # fields of `MachineRules`, and base_fee: "fullness" or "premium"; of a draft also
                                   # receipts: "explicit" or "all"
    tipset_lookback = 900          # "any": no limit

    [evm]                          # EVM features (`NetworkVersion.evm`)
    add = ["CLZ"]
    remove = ["P256"]

See docs/laboratory.md for the effect of each part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from hypervisor.errors import InvalidInput
from hypervisor.gas import COUNTS, MILLIGAS_PER_GAS, check_price_name, price_values
from hypervisor.installation import MAX_BYTES, parse_toml, read_bounded
from hypervisor.versions.features import check_feature_rules
from hypervisor.versions.network_versions import (
    NETWORK_VERSIONS,
    BaseFee,
    MachineRules,
    NetworkVersion,
    Receipts,
    versions_of,
)
from hypervisor.versions.overlay import Overlay, RuleValue

T = TypeVar("T")

_TABLES: Final = ("name", "since", "until", "prices", "rules", "evm")
_FIXED: Final = ("abi", "disabled_syscalls")
"""Rules that an overlay cannot change: the set of syscalls follows from the network version."""
_RECEIPTS: Final = "receipts"
_NAMED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {rule: tuple(each.name.lower() for each in kind) for rule, kind in (("base_fee", BaseFee), (_RECEIPTS, Receipts))}
)
"""Rules of a chain and their values: fields of `NetworkVersion`."""
_ANY: Final = "any"
_MAX_NAME_LENGTH: Final = 100
_MAX_PARTS: Final = 3
"""Maximum number of parts in the name of a price, as in `hashes.keccak_256.per_unit`."""
_MAX_MILLIGAS: Final = (1 << 63) - 1
_DECIMALS: Final = 3
_MAX_BITS: Final = 64
"""Maximum size of a price: bits of an integer, or digits before the decimal point or zeros after it."""
_MAX_PRICES: Final[Mapping[str, int]] = MappingProxyType({"wasm_instruction": 1_000_000, "wasm_memory_per_byte": 30})
"""Maximum in gas of prices that are compiled into code, so that a guest's 64-bit counter does not overflow."""


def read_overlay(path: Path) -> Overlay:
    """Read an overlay from a file; the file's name is the default name. Raises InvalidInput."""
    return read_toml(path, "overlay", lambda table: parse_overlay(table, path.stem))


def read_toml(path: Path, what: str, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """Return the result of `parse` for a TOML file, named `what` in errors. Raises InvalidInput."""
    data = read_bounded(path, MAX_BYTES, what)
    try:
        table = parse_toml(data.decode(), parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # plain ValueError: a number of more than 4,300 digits
        raise InvalidInput(f"{what} {path} is not TOML: {error}") from None
    try:
        return parse(table)
    except (ValueError, RecursionError) as error:  # not InvalidInput: values too long or nested too deeply to print
        raise InvalidInput(f"{what} {path}: {error}") from None


def parse_overlay(table: Mapping[str, Any], name: str) -> Overlay:
    """Create an overlay from parsed TOML. Raises InvalidInput."""
    check_names(table, _TABLES, "the file")
    added, removed = parse_features(table_of(table, "evm"), "evm", evm_features())
    overlay = Overlay(
        parse_name(table.get("name", name)),
        _version(table, "since", min(NETWORK_VERSIONS)),
        _version(table, "until", max(NETWORK_VERSIONS)) if "until" in table else None,
        parse_prices(table_of(table, "prices")),
        parse_rules(table_of(table, "rules")),
        added,
        removed,
    )
    check_overlay(overlay)
    return overlay


def parse_prices(table: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return the prices of a table [prices], in milligas, sorted by name. Raises InvalidInput."""
    return tuple(sorted((key, parse_price(key, value)) for key, value in _flat(table)))


def parse_rules(table: Mapping[str, Any]) -> tuple[tuple[str, RuleValue], ...]:
    """Return the rules of a table [rules], sorted by name. Raises InvalidInput."""
    return tuple(sorted(_rule(key, value) for key, value in table.items()))


def price_overlay(prices: Mapping[str, int], rows: Sequence[NetworkVersion], base: Overlay | None = None) -> Overlay:
    """Return an overlay of prices (milligas) for consecutive network versions, on top of another overlay.

    Raises InvalidInput for a price that one of the versions lacks, and for a version that `base` does not cover.
    """
    for row in rows:
        for name in prices:
            check_price_name(name, price_values(row.prices), f"nv{row.number}")
    if base is None:
        return Overlay("prices", rows[0].number, rows[-1].number, tuple(sorted(prices.items())))
    outside = [row.number for row in rows if row not in versions_of(base)]
    if outside:
        raise InvalidInput(f"the overlay '{base.name}' does not cover nv{outside[0]}, so its prices cannot be changed")
    both = tuple(sorted({**dict(base.prices), **prices}.items()))
    joined = replace(base, prices=both)
    check_overlay(joined)
    return joined


def check_overlay(overlay: Overlay) -> None:
    """Raise InvalidInput if an overlay covers no version, changes nothing, or changes something that is missing."""
    rows = versions_of(overlay)
    if not rows:
        raise InvalidInput(f"the range since {overlay.since} until {overlay.until} contains no network version")
    if overlay.draft is None and not (overlay.prices or overlay.rules or overlay.added or overlay.removed):
        raise InvalidInput("the overlay changes nothing: expected [prices], [rules] or [evm]")
    if overlay.draft is None and _RECEIPTS in dict(overlay.rules):
        raise InvalidInput(f"the rule {_RECEIPTS} is for draft versions: put it into one (`hypervisor version new`)")
    check_feature_rules(overlay)
    known = {name: value for row in NETWORK_VERSIONS.values() for name, value in price_values(row.prices).items()}
    for name, _ in overlay.prices:
        check_price_name(name, known, "the price list")
        lacking = [row.number for row in rows if name not in price_values(row.prices)]
        if lacking:
            having = [row.number for row in NETWORK_VERSIONS.values() if name in price_values(row.prices)]
            raise InvalidInput(
                f"nv{lacking[0]} has no price {name}: restrict the overlay to nv{having[0]} to nv{having[-1]} with "
                "`since` and `until`"
            )


def parse_price(name: str, value: object) -> int:
    """Return the milligas of a price in gas, given as a TOML number or text. Raises InvalidInput."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise InvalidOperation
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise InvalidInput(f"the price {name} has {value.bit_length():,} bits: expected {_MAX_BITS} at most")
        amount = Decimal(value.replace("_", "") if isinstance(value, str) else value)
        if not amount.is_finite() or abs(amount.adjusted()) > _MAX_BITS:  # avoid slow arithmetic with huge exponents
            raise InvalidOperation
    except InvalidOperation:
        raise InvalidInput(f"the price {name} is {value!s:.80}: expected a number, in gas") from None
    if amount < 0:
        raise InvalidInput(f"the price {name} is {amount:,f} gas: expected 0 or more")
    if name in COUNTS:
        if amount != int(amount) or amount > _MAX_MILLIGAS:
            raise InvalidInput(f"{name} is {amount:,f}: expected a whole number of bytes")
        return int(amount)
    maximum = _MAX_PRICES.get(name, _MAX_MILLIGAS // MILLIGAS_PER_GAS)
    if amount > maximum:
        raise InvalidInput(f"the price {name} is over {maximum:,} gas")
    if amount != round(amount, _DECIMALS):
        raise InvalidInput(f"the price {name} is {amount:f} gas: at most {_DECIMALS} decimals are supported")
    return int(amount * MILLIGAS_PER_GAS)


def check_names(found: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise InvalidInput for an unknown name, with the closest known one."""
    for name in found:
        if name not in known:
            near = get_close_matches(name, list(known), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise InvalidInput(f"{where} has no {name!r:.80}: {hint}")


def table_of(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the table [name], empty if it is missing. Raises InvalidInput for any other value."""
    found = table.get(name, {})
    if not isinstance(found, Mapping):
        raise InvalidInput(f"{name} is {found!r:.80}: expected a table, [{name}]")
    return found


def parse_name(name: object) -> str:
    """Return a printable name of 1 to 100 letters unchanged. Raises InvalidInput."""
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidInput(f"the name is {name!r:.80}: expected a string of 1 to {_MAX_NAME_LENGTH} letters")
    return name


def _version(table: Mapping[str, Any], key: str, default: int) -> int:
    number = table.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or number not in NETWORK_VERSIONS:
        oldest, newest = min(NETWORK_VERSIONS), max(NETWORK_VERSIONS)
        raise InvalidInput(f"{key} is {number!r:.80}: expected a network version, {oldest} to {newest}")
    return number


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the values of nested tables, by their dotted names."""
    if before.count(".") >= _MAX_PARTS:
        raise InvalidInput(f"[prices] has no {before!r:.80}: names have at most {_MAX_PARTS} parts")
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _rule(name: str, value: Any) -> tuple[str, RuleValue]:
    kinds = {each.name: each.type for each in fields(MachineRules) if each.init and each.name not in _FIXED}
    check_names([name], [*kinds, *_NAMED], "[rules]")
    if name in _NAMED:
        if not isinstance(value, str) or value not in _NAMED[name]:
            raise InvalidInput(f"the rule {name} is {value!r:.80}: expected {' or '.join(_NAMED[name])}")
        return name, value.upper()
    if kinds[name] in (bool, "bool"):
        if not isinstance(value, bool):
            raise InvalidInput(f"the rule {name} is {value!r:.80}: expected true or false")
        return name, value
    if value == _ANY:
        return name, None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise InvalidInput(f"the rule {name} is {value!r:.80}: expected a number of epochs, or {_ANY!r}")
    return name, value


def evm_features() -> list[str]:
    """Return the names of all EVM features (`NetworkVersion.evm`), sorted."""
    return sorted(frozenset[str]().union(*(row.evm for row in NETWORK_VERSIONS.values())))


def parse_features(
    table: Mapping[str, Any], title: str, known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the known names that a table [title] adds and removes, sorted. Raises InvalidInput."""
    check_names(table, ("add", "remove"), f"[{title}]")
    added, removed = (parse_names(table, title, key, known) for key in ("add", "remove"))
    both = sorted({*added} & {*removed})
    if both:
        raise InvalidInput(f"[{title}] adds and removes {', '.join(both)}")
    return added, removed


def parse_names(table: Mapping[str, Any], title: str, key: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the list of known names under a key of a table [title], sorted. Raises InvalidInput."""
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"{key} of [{title}] is {names!r:.80}: expected a list of names")
    check_names(names, known, f"[{title}]")
    return tuple(sorted(set(names)))
