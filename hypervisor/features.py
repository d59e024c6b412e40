"""Features: what the reference machine has behind switches of its build, and no network has.

A feature is a rule of `MachineRules`, so an overlay turns it on: it is kept in a folder's record and in the keys of
caches like any other change of rules. Source: ref-fvm fvm/Cargo.toml, features `m2-native` and `upgrade-actor`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.network_versions import MACHINE_V4, NETWORK_VERSIONS
from hypervisor.overlay import Overlay, RuleValue


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature by the reference's name: the rule that it turns on, its syscall, and what it lets actors do."""

    name: str
    rule: str
    syscall: str
    what: str


FEATURES: Final[Mapping[str, Feature]] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            Feature(
                "m2-native",
                "installs_code",
                "actor.install_actor",
                "the init actor installs WASM modules, and creates actors of them",
            ),
            Feature(
                "upgrade-actor",
                "upgrades_actors",
                "actor.upgrade_actor",
                "an actor gives itself other code (actor.upgrade_actor)",
            ),
        )
    }
)
SINCE: Final = min(row.number for row in NETWORK_VERSIONS.values() if row.rules.abi == MACHINE_V4.abi)
"""The first network version with the generation of the machine that has them."""


def with_features(names: Iterable[str], overlay: Overlay | None = None) -> Overlay | None:
    """An overlay that turns features on, on top of another one; that one itself where none is named.

    Raises InvalidInput for a name that is no feature's, and for an overlay of versions that have none.
    """
    chosen = sorted(set(names))
    for name in chosen:
        if name not in FEATURES:
            raise InvalidInput(f"feature '{name}' is not known: choose one of {', '.join(FEATURES)}")
    if not chosen:
        return overlay
    rules: dict[str, RuleValue] = {FEATURES[name].rule: True for name in chosen}
    title = " and ".join(chosen)
    if overlay is None:
        return Overlay(title, SINCE, None, rules=tuple(sorted(rules.items())))
    joined = Overlay(
        f"{overlay.name} with {title}",
        max(overlay.since, SINCE),
        overlay.until,
        overlay.prices,
        tuple(sorted({**dict(overlay.rules), **rules}.items())),
        overlay.added,
        overlay.removed,
    )
    if joined.until is not None and joined.until < joined.since:
        raise InvalidInput(f"the overlay '{overlay.name}' ends at nv{joined.until}: {title} begins at nv{SINCE}")
    return joined


def check_feature_rules(overlay: Overlay) -> None:
    """Raises InvalidInput for an overlay that turns a feature on for versions that cannot have it."""
    rules = dict(overlay.rules)
    for feature in FEATURES.values():
        if rules.get(feature.rule) and overlay.since < SINCE:
            raise InvalidInput(
                f"the rule {feature.rule} is for nv{SINCE} and later, and the overlay begins at nv{overlay.since}: say "
                f"`since = {SINCE}`"
            )


def feature_of_syscall(name: str) -> Feature | None:
    """The feature that brings a syscall, which is named `module.function`; None for one that networks have."""
    return next((feature for feature in FEATURES.values() if feature.syscall == name), None)


def features_of(overlay: Overlay | None) -> tuple[str, ...]:
    """The names of the features that an overlay turns on."""
    rules = {} if overlay is None else dict(overlay.rules)
    return tuple(name for name, feature in FEATURES.items() if rules.get(feature.rule))
