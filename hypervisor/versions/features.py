"""Features that no network enables: two that ref-fvm implements behind build flags, and one of this project.

A feature is a rule of `MachineRules` that an overlay enables, so folders record it and cache keys include it like any
other change of rules. Source: ref-fvm fvm/Cargo.toml, features `m2-native` and `upgrade-actor`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor.versions.network_versions import MACHINE_V4, NETWORK_VERSIONS, MachineRules
from hypervisor.versions.overlay import Overlay, RuleValue


class Feature(NamedTuple):
    """A feature: its name, the rule that it enables, its syscall if it has one, and a description."""

    name: str
    rule: str
    syscall: str
    what: str


INSTALLING: Final = "m2-native"
"""The feature that requires a modified init actor."""
CREATING: Final = "code-formats"
"""The feature that requires a runtime with a code format."""
FEATURES: Final[Mapping[str, Feature]] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            Feature(
                INSTALLING,
                "installs_code",
                "actor.install_actor",
                "the init actor installs WASM modules and creates actors from them",
            ),
            Feature(
                "upgrade-actor",
                "upgrades_actors",
                "actor.upgrade_actor",
                "an actor replaces its own code (actor.upgrade_actor)",
            ),
            Feature(
                CREATING,
                "creates_by_format",
                "",
                "contracts are created from init code of any installed runtime's format",
            ),
        )
    }
)
SINCE: Final = min(row.number for row in NETWORK_VERSIONS.values() if row.rules.abi == MACHINE_V4.abi)
"""First network version whose machine generation supports the features."""


def with_features(names: Iterable[str], overlay: Overlay | None = None) -> Overlay | None:
    """Return an overlay that enables features on top of `overlay`; `overlay` itself if none are named.

    Raises InvalidInput for an unknown feature, and for an overlay of versions that do not support features.
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
    joined = replace(
        overlay,
        name=f"{overlay.name} with {title}",
        since=max(overlay.since, SINCE),
        rules=tuple(sorted({**dict(overlay.rules), **rules}.items())),
    )
    if joined.until is not None and joined.until < joined.since:
        raise InvalidInput(f"the overlay '{overlay.name}' ends at nv{joined.until}: {title} begins at nv{SINCE}")
    return joined


def check_feature_rules(overlay: Overlay) -> None:
    """Raise InvalidInput for an overlay that enables a feature for versions that do not support it."""
    rules = dict(overlay.rules)
    for feature in FEATURES.values():
        if rules.get(feature.rule) and overlay.since < SINCE:
            raise InvalidInput(
                f"the rule {feature.rule} needs nv{SINCE} or later, but the overlay begins at nv{overlay.since}; set "
                f"`since = {SINCE}`"
            )


def feature_of_syscall(name: str) -> Feature | None:
    """Return the feature that adds a syscall `module.function`; None for a regular syscall."""
    return next((feature for feature in FEATURES.values() if feature.syscall == name), None)


def enabled_features(rules: MachineRules) -> tuple[str, ...]:
    """Return the names of the features that the rules of a network version enable."""
    return tuple(name for name, feature in FEATURES.items() if getattr(rules, feature.rule))


def features_of(overlay: Overlay | None) -> tuple[str, ...]:
    """Return the names of the features that an overlay enables."""
    rules = {} if overlay is None else dict(overlay.rules)
    return tuple(name for name, feature in FEATURES.items() if rules.get(feature.rule))
