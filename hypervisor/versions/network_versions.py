"""Network versions as rows, each of which states only its changes.

A row has the version of the built-in actors, the price list and the machine's rules (`MachineRules`). To add a network
version, add a row. Source: ref-fvm v3 (nv18 to nv20) and v4 (nv21 to nv29), and the network's upgrades.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from hypervisor.errors import InvalidInput
from hypervisor.gas import HYGGE, TEEP, WATERMELON, PriceList, with_prices
from hypervisor.versions.overlay import Overlay


@dataclass(frozen=True, slots=True)
class MachineRules:
    """Differences between the two generations of the machine in their syscalls."""

    abi: str
    tracks_links: bool
    """True if blocks are scanned for links, and only reachable blocks may be opened or linked."""
    host_draws_randomness: bool
    """True if the host hashes tag, epoch and entropy into the digest; otherwise the actor does."""
    events_in_buffers: bool
    """True if events are passed in three buffers; otherwise as one CBOR block."""
    self_destruct_burns: bool
    """True if self-destruct takes a burn flag; otherwise a beneficiary."""
    tipset_lookback: int | None
    """Maximum lookback in epochs for tipset CIDs; None: unlimited."""
    refused_depth_keeps_limit: bool
    """True if a call rejected for its depth leaves its gas limit in force (ref-fvm v3 call_manager `send`)."""
    installs_code: bool = False
    """True with the feature m2-native, on no network: the init actor installs code."""
    upgrades_actors: bool = False
    """True with the feature upgrade-actor, on no network: an actor can replace its own code."""
    creates_by_format: bool = False
    """True with the feature code-formats, on no network: contracts are created from code of any installed runtime."""
    disabled_syscalls: str = ""
    """Syscalls of `abi` that the version lacks, as `module.name`, separated by commas; empty for published versions."""
    revision: str = field(init=False)
    """Name of the available syscalls: `abi`, the additions of features, and the disabled syscalls."""

    def __post_init__(self) -> None:
        features = ("+install_actor" if self.installs_code else "") + ("+upgrade_actor" if self.upgrades_actors else "")
        disabled = f"-{self.disabled_syscalls}" if self.disabled_syscalls else ""
        object.__setattr__(self, "revision", self.abi + features + disabled)


MACHINE_V3 = MachineRules(
    abi="v3",
    tracks_links=False,
    host_draws_randomness=True,
    events_in_buffers=False,
    self_destruct_burns=False,
    tipset_lookback=900,
    refused_depth_keeps_limit=True,
)
MACHINE_V4 = MachineRules(
    abi="v4",
    tracks_links=True,
    host_draws_randomness=False,
    events_in_buffers=True,
    self_destruct_burns=True,
    tipset_lookback=None,
    refused_depth_keeps_limit=False,
)


class BaseFee(Enum):
    """Input of the base fee of the next tipset (computed in `localnet.rules.facts`)."""

    FULLNESS = "the gas used by the blocks"
    PREMIUM = "the minimum premium of the highest-paying four fifths of a block's gas (FIP-0115)"


class Receipts(Enum):
    """Receipts of a tipset, to which the next block header links (encoded by `Receipt.fields`)."""

    EXPLICIT = "four fields, one receipt for each message of a block"
    ALL = "six fields, one receipt for each message, reward and cron, in the order of execution (FIP-0107)"


class Layouts(Enum):
    """Changes in the layout of actor states by a network upgrade."""

    UNKNOWN = "not known: a version without a migration yet"
    UNCHANGED = "unchanged"
    REWRITTEN = "rewritten by the version's module, such as `hypervisor.migrations.nv19_to_nv25`"
    STREAMS = "reward and market states rewritten (`hypervisor.migrations.nv29`)"


@dataclass(frozen=True, slots=True)
class NetworkVersion:
    """A network version: its number, actors version, prices and rules, and the EVM features."""

    number: int
    name: str
    """Name of the upgrade, as in lotus (`UpgradeHyggeHeight`); Xx if it has none yet."""
    actors: int
    prices: PriceList
    rules: MachineRules
    evm: frozenset[str] = frozenset()
    """Features added to the EVM actor, used by `runtimes.evm.contracts.rules`: opcodes, precompiles, methods.

    STRICT_GETTERS: GetBytecode and GetBytecodeHash reject parameters. PLAIN_BYTECODE: GetBytecode returns CBOR, not
    DAG-CBOR. STRICT_DELEGATE: InvokeContractDelegate accepts DAG-CBOR only. CREATION_RETURNS: a creation clears the
    return data, a rejected one leaves it. TOMBSTONE_RELOADS: a frame detects that another one destroyed its contract.
    """
    base_fee: BaseFee = BaseFee.FULLNESS
    """Rule for the base fee of the following tipset."""
    receipts: Receipts = Receipts.EXPLICIT
    """Form and number of a tipset's receipts."""
    layouts: Layouts = Layouts.UNKNOWN
    """Changes of the upgrade to the states of the previous version (`hypervisor.migrations.migration`)."""
    overlay: Overlay | None = None
    """Overlay applied to the row, even if it takes effect at a later version."""

    @property
    def key(self) -> tuple[int, str]:
        return self.number, "" if self.overlay is None else self.overlay.digest

    def with_overlay(self, overlay: Overlay | None) -> "NetworkVersion":
        """Return the row with an overlay's changes, if it covers this version. Raises InvalidInput."""
        if overlay is None:
            return self
        if self.number < overlay.since or (overlay.until is not None and self.number > overlay.until):
            return replace(self, overlay=overlay)
        prices, rules = self.prices, dict(overlay.rules)
        if overlay.prices:
            prices = with_prices(prices, dict(overlay.prices), f"{prices.name} with {overlay.name}")
        base_fee = self.base_fee if "base_fee" not in rules else BaseFee[str(rules.pop("base_fee"))]
        receipts = self.receipts if "receipts" not in rules else Receipts[str(rules.pop("receipts"))]
        evm = (self.evm | set(overlay.added)) - set(overlay.removed)
        changed = replace(self.rules, **rules)  # type: ignore[arg-type]  # types are checked by `overlay_file`
        return replace(
            self, overlay=overlay, prices=prices, rules=changed, base_fee=base_fee, receipts=receipts, evm=evm
        )

    def successor(self, **changes: Any) -> "NetworkVersion":
        """Return the next version with the given changes; name and `layouts` are reset."""
        return replace(self, **{"number": self.number + 1, "name": "Xx", "layouts": Layouts.UNKNOWN, **changes})


NV18 = NetworkVersion(18, "Hygge", actors=10, prices=HYGGE, rules=MACHINE_V3)
NV19 = NV18.successor(
    name="Lightning", actors=11, evm=frozenset({"STRICT_GETTERS", "PLAIN_BYTECODE"}), layouts=Layouts.REWRITTEN
)
NV20 = NV19.successor(name="Thunder", layouts=Layouts.UNCHANGED)
NV21 = NV20.successor(
    name="Watermelon",
    actors=12,
    prices=WATERMELON,
    rules=MACHINE_V4,
    layouts=Layouts.REWRITTEN,
    evm=frozenset({"STRICT_GETTERS", "STRICT_DELEGATE", "CREATION_RETURNS", "TOMBSTONE_RELOADS"}),
)
NV22 = NV21.successor(name="Dragon", actors=13, layouts=Layouts.REWRITTEN)
NV23 = NV22.successor(name="Waffle", actors=14, layouts=Layouts.REWRITTEN)
NV24 = NV23.successor(
    name="Tuktuk", actors=15, evm=NV23.evm | {"MCOPY", "BEACON_RANDOMNESS"}, layouts=Layouts.REWRITTEN
)
NV25 = NV24.successor(name="Teep", actors=16, prices=TEEP, evm=NV24.evm | {"TRANSIENT"}, layouts=Layouts.REWRITTEN)
NV26 = NV25.successor(name="Tock", layouts=Layouts.UNCHANGED)
NV27 = NV26.successor(name="GoldenWeek", actors=17, evm=NV26.evm | {"BLS12_381"}, layouts=Layouts.UNCHANGED)
NV28 = NV27.successor(
    name="FireHorse", actors=18, evm=NV27.evm | {"CLZ", "P256"}, base_fee=BaseFee.PREMIUM, layouts=Layouts.UNCHANGED
)
NV29 = NV28.successor(name="Solstice", actors=19, layouts=Layouts.STREAMS)

NETWORK_VERSIONS = {row.number: row for row in (NV18, NV19, NV20, NV21, NV22, NV23, NV24, NV25, NV26, NV27, NV28, NV29)}
LATEST = NV29
"""Default network version."""


def known_versions(overlay: Overlay | None = None) -> Mapping[int, NetworkVersion]:
    """Return the rows by number, without the overlay's changes; an overlay's draft version follows its base."""
    draft = None if overlay is None else overlay.draft
    if overlay is None or draft is None:
        return NETWORK_VERSIONS
    base = network_version_row(draft.base)
    rows = {number: row for number, row in NETWORK_VERSIONS.items() if number <= draft.base}
    return {**rows, draft.number: replace(base, number=draft.number, name=overlay.name, layouts=Layouts.UNCHANGED)}


def network_version_row(number: int, overlay: Overlay | None = None) -> NetworkVersion:
    """Return the row of a number, without the overlay's changes. Raises InvalidInput with the supported versions."""
    rows = known_versions(overlay)
    try:
        return rows[number]
    except KeyError:
        raise InvalidInput(f"network version nv{number} is not known: choose one of {_format_list(rows)}") from None


def network_version(number: int, overlay: Overlay | None = None) -> NetworkVersion:
    """Return the row of a number, with an overlay applied. Raises InvalidInput with the supported versions."""
    row = network_version_row(number, overlay)
    return row if overlay is None else row.with_overlay(overlay)


def _format_list(rows: Mapping[int, NetworkVersion]) -> str:
    first, *_, base, last = rows
    return f"nv{first} to nv{last}" if last == base + 1 else f"nv{first} to nv{base}, nv{last}"


def versions_of(overlay: Overlay) -> list[NetworkVersion]:
    """Return the rows that an overlay changes, without the overlay."""
    rows = known_versions(overlay)
    last = max(rows) if overlay.until is None else overlay.until
    return [row for number, row in rows.items() if overlay.since <= number <= last]


def versions_between(before: int, after: int, overlay: Overlay | None = None) -> list[NetworkVersion]:
    """Return the rows of the versions after `before` up to `after`; empty if `after` is not later."""
    return [row for number, row in known_versions(overlay).items() if before < number <= after]


def versions_after(number: int, overlay: Overlay | None = None) -> list[NetworkVersion]:
    """Return the rows of all later versions."""
    return versions_between(number, max(known_versions(overlay)), overlay)


def layouts_between(before: int, after: int) -> list[NetworkVersion]:
    """Return the rows that change state layouts after the actors version `before`, up to `after`."""
    rows = (row for row in NETWORK_VERSIONS.values() if before < row.actors <= after)
    return [row for row in rows if row.layouts is not Layouts.UNCHANGED]


def layout_change_between(one: int, other: int) -> NetworkVersion | None:
    """Return the first row that changes state layouts between the actors of two versions, or None."""
    return next(iter(layouts_between(*sorted((one, other)))), None)


def newest_with_actors(version: int) -> NetworkVersion | None:
    """Return the newest network version with a version of the built-in actors, or None."""
    return max((row for row in NETWORK_VERSIONS.values() if row.actors == version), key=_number, default=None)


def _number(row: NetworkVersion) -> int:
    return row.number
