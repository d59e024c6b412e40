"""Network versions as rows: each says only what it changes.

A row names the built-in actors' version, the price list and the machine's rules (`MachineRules`). A new network
version is a new row. Source: ref-fvm v3 (nv18 to nv20) and v4 (nv21 to nv29), and the network's upgrades.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from hypervisor.errors import InvalidInput
from hypervisor.overlay import Overlay
from hypervisor.price_names import with_prices
from hypervisor.prices import HYGGE, TEEP, WATERMELON, PriceList


@dataclass(frozen=True, slots=True)
class MachineRules:
    """What the syscalls do differently between the two generations of the machine."""

    abi: str
    tracks_links: bool
    """Blocks are scanned for links, and only what an invocation has reached may be opened or linked."""
    host_draws_randomness: bool
    """The host hashes tag, epoch and entropy into the digest; later the actor does."""
    events_in_buffers: bool
    """Events arrive in three buffers; before, as one CBOR block."""
    self_destruct_burns: bool
    """Self-destruct takes a burn flag; before, a beneficiary."""
    tipset_lookback: int | None
    """How many epochs back a tipset CID may be asked for; None: any."""
    refused_depth_keeps_limit: bool
    """A call that is refused for its depth leaves its own gas limit in force (ref-fvm v3 call_manager `send`)."""
    installs_code: bool = False
    """The feature m2-native, on no network: the init actor installs code, and code that cannot run is not found."""
    upgrades_actors: bool = False
    """The feature upgrade-actor, on no network: an actor gives itself other code."""
    revision: str = field(init=False)
    """The name of the syscalls that there are: `abi`, and what the features add."""

    def __post_init__(self) -> None:
        features = ("+install_actor" if self.installs_code else "") + ("+upgrade_actor" if self.upgrades_actors else "")
        object.__setattr__(self, "revision", self.abi + features)


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
    """What the base fee of the next tipset follows (`localnet.rules.base_fee` has the arithmetic)."""

    FULLNESS = "how full the blocks are"
    PREMIUM = "the premium that the dearest four fifths of a block's gas pay at least (FIP-0115)"


class Layouts(Enum):
    """How the actors' states of a network version come from those of the one before."""

    UNKNOWN = "changed by a migration that this machine does not have"
    KEPT = "as they were"
    STREAMS = "reward's and market's written anew (`hypervisor.migration_nv29`)"


@dataclass(frozen=True, slots=True)
class NetworkVersion:
    """One network version: its number, its actors' version, prices and rules, and what contracts may use."""

    number: int
    name: str
    """What the network calls its upgrade, and lotus the height of it (`UpgradeHyggeHeight`); Xx before it has one."""
    actors: int
    prices: PriceList
    rules: MachineRules
    evm: frozenset[str] = frozenset()
    """Features of the EVM actor since the first, which `runtimes.evm.rules` reads: opcodes, precompiles, methods.

    STRICT_QUESTIONS: GetBytecode and GetBytecodeHash refuse parameters. PLAIN_BYTECODE: GetBytecode returns CBOR, not
    DAG-CBOR. STRICT_DELEGATE: InvokeContractDelegate takes DAG-CBOR alone. CREATION_RETURNS: a creation clears the
    return data, a refused one leaves its own. TOMBSTONE_RELOADS: a frame learns that another one destroyed it.
    """
    base_fee: BaseFee = BaseFee.FULLNESS
    """Of the tipset after one: the rule of the version that the next epoch has."""
    layouts: Layouts = Layouts.UNKNOWN
    """What its upgrade does with the states of the version before (`hypervisor.migration`)."""
    overlay: Overlay | None = None
    """What an experiment changes of the network's own row; also where it begins at a later version."""

    @property
    def key(self) -> tuple[int, str]:
        """What stands for this row where something is kept that was derived from it."""
        return self.number, "" if self.overlay is None else self.overlay.digest

    def with_overlay(self, overlay: Overlay | None) -> "NetworkVersion":
        """The row with what an overlay changes, if it is for this version. Raises InvalidInput for unknown names."""
        if overlay is None:
            return self
        if self.number < overlay.since or (overlay.until is not None and self.number > overlay.until):
            return replace(self, overlay=overlay)
        prices, rules = self.prices, dict(overlay.rules)
        if overlay.prices:
            prices = with_prices(prices, dict(overlay.prices), f"{prices.name} with {overlay.name}")
        base_fee = self.base_fee if "base_fee" not in rules else BaseFee[str(rules.pop("base_fee"))]
        evm = (self.evm | set(overlay.added)) - set(overlay.removed)
        changed = replace(self.rules, **rules)  # type: ignore[arg-type]  # the file's reader has checked the kinds
        return replace(self, overlay=overlay, prices=prices, rules=changed, base_fee=base_fee, evm=evm)

    def successor(self, **changes: Any) -> "NetworkVersion":
        """The next version, different in the named fields only; it has a name and an upgrade (`layouts`) of its own."""
        return replace(self, **{"number": self.number + 1, "name": "Xx", "layouts": Layouts.UNKNOWN, **changes})


NV18 = NetworkVersion(18, "Hygge", actors=10, prices=HYGGE, rules=MACHINE_V3)
NV19 = NV18.successor(name="Lightning", actors=11, evm=frozenset({"STRICT_QUESTIONS", "PLAIN_BYTECODE"}))
NV20 = NV19.successor(name="Thunder")
NV21 = NV20.successor(
    name="Watermelon",
    actors=12,
    prices=WATERMELON,
    rules=MACHINE_V4,
    evm=frozenset({"STRICT_QUESTIONS", "STRICT_DELEGATE", "CREATION_RETURNS", "TOMBSTONE_RELOADS"}),
)
NV22 = NV21.successor(name="Dragon", actors=13)
NV23 = NV22.successor(name="Waffle", actors=14)
NV24 = NV23.successor(name="Tuktuk", actors=15, evm=NV23.evm | {"MCOPY", "BEACON_RANDOMNESS"})
NV25 = NV24.successor(name="Teep", actors=16, prices=TEEP, evm=NV24.evm | {"TRANSIENT"})
NV26 = NV25.successor(name="Tock", layouts=Layouts.KEPT)
NV27 = NV26.successor(name="GoldenWeek", actors=17, evm=NV26.evm | {"BLS12_381"}, layouts=Layouts.KEPT)
NV28 = NV27.successor(
    name="FireHorse", actors=18, evm=NV27.evm | {"CLZ", "P256"}, base_fee=BaseFee.PREMIUM, layouts=Layouts.KEPT
)
NV29 = NV28.successor(name="Solstice", actors=19, layouts=Layouts.STREAMS)

NETWORK_VERSIONS = {row.number: row for row in (NV18, NV19, NV20, NV21, NV22, NV23, NV24, NV25, NV26, NV27, NV28, NV29)}
LATEST = NV29
"""The version of a network that does not name one."""


def network_version(number: int, overlay: Overlay | None = None) -> NetworkVersion:
    """The row of a number, with what an overlay changes of it; InvalidInput names the known ones."""
    try:
        row = NETWORK_VERSIONS[number]
    except KeyError:
        known = f"nv{min(NETWORK_VERSIONS)} to nv{max(NETWORK_VERSIONS)}"
        raise InvalidInput(f"network version nv{number} is not known: choose one of {known}") from None
    return row if overlay is None else row.with_overlay(overlay)


def versions_of(overlay: Overlay) -> list[NetworkVersion]:
    """The rows that an overlay changes, as they are without it."""
    last = max(NETWORK_VERSIONS) if overlay.until is None else overlay.until
    return [row for number, row in NETWORK_VERSIONS.items() if overlay.since <= number <= last]


def versions_between(before: int, after: int) -> list[NetworkVersion]:
    """The rows of the versions after one, up to another: none where that is no later one."""
    return [row for number, row in NETWORK_VERSIONS.items() if before < number <= after]


def versions_after(number: int) -> list[NetworkVersion]:
    """The rows of all later versions."""
    return versions_between(number, max(NETWORK_VERSIONS))


def other_layouts(one: int, other: int) -> NetworkVersion | None:
    """The first row whose upgrade changed layouts of states between built-in actors of two versions; None: no row."""
    low, high = sorted((one, other))
    rows = (row for row in NETWORK_VERSIONS.values() if low < row.actors <= high)
    return next((row for row in rows if row.layouts is not Layouts.KEPT), None)


def newest_with_actors(version: int) -> NetworkVersion | None:
    """The newest network version that has built-in actors of a version; None where none has."""
    return max((row for row in NETWORK_VERSIONS.values() if row.actors == version), key=_number, default=None)


def _number(row: NetworkVersion) -> int:
    return row.number
