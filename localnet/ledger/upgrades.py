"""Planned network upgrades: epochs, versions, and the built-in actors of each.

As on the network, an upgrade is the last event of its epoch. Messages of that epoch run under the old version, and
the next epoch starts with the migrated state and new actor code (`hypervisor.migrations.migration`). The plan and its
bundles are stored in the folder.

Source: lotus chain/stmgr/forks.go (`HandleStateForks`, `GetNetworkVersion`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import InvalidInput
from hypervisor.migrations.migration import (
    check_migration,
    migrates_draft,
    migrations_between,
    rehearse,
    streams_version,
)
from hypervisor.types import ChainEpoch, whole_number
from hypervisor.versions.network_versions import LATEST, NetworkVersion, network_version, versions_between
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.stream_settings import StreamSettings
from store.cid import Cid
from store.codec import link, unlink
from store.roots import PIN_PREFIX

if TYPE_CHECKING:
    from hypervisor.machine.machine import Hypervisor
    from hypervisor.state.state_tree import StateTree

UpgradePlan = Mapping[int, int | tuple[int, Bundle | str | Path]]
"""Mapping from epoch to a network version, or to a version and its bundle of built-in actors."""

LAST_EPOCH: Final = (1 << 63) - 1
"""Largest epoch: a signed 64-bit integer."""

_LOG: Final = logging.getLogger(__name__)
_ACTORS_A_LINE: Final = 100_000
"""Number of migrated actors per progress line, about one line in two seconds."""

NO_UPGRADES: Final[UpgradePlan] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade: after `epoch` the network has `version`.

    `actors` is the data CID of another manifest, or None; `streams` the settings of the reward streams from network
    version 29 on, None for the network's own values.
    """

    epoch: ChainEpoch
    version: int
    actors: Cid | None = None
    streams: StreamSettings | None = None

    def fields(self) -> list[Any]:
        """Return the fields as stored in the folder's record."""
        streams = [] if self.streams is None else [self.streams.fields()]
        return [self.epoch, self.version, None if self.actors is None else link(self.actors), *streams]

    def check_same(self, streams: StreamSettings | None, actors: Cid | None = None) -> None:
        """Raise InvalidInput if the requested streams or actors differ from the planned ones; None requests nothing."""
        others = [] if actors in (None, self.actors) else ["built-in actors other than the requested ones"]
        if streams is not None and self.streams is None:
            others.append("the network's default streams, not the requested ones")
        elif streams is not None and self.streams is not None:
            requested = streams.named()
            others += [
                f"{name} {is_} and not {requested[name]}"
                for name, is_ in self.streams.named().items()
                if is_ != requested[name]
            ]
        if others:
            raise InvalidInput(
                f"the upgrade to nv{self.version} at epoch {self.epoch} is planned with {', '.join(others)}: "
                f"omit it, or pass the planned value"
            )

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Upgrade:
        """Decode the result of `fields`. Raises TypeError, ValueError."""
        epoch, version, actors, *streams = fields
        if not isinstance(epoch, int) or not isinstance(version, int):
            raise TypeError("epochs and versions are numbers")
        settings = StreamSettings.from_fields(streams[0]) if streams else None
        return cls(ChainEpoch(epoch), version, None if actors is None else unlink(actors), settings)


@dataclass(frozen=True, slots=True)
class Upgrades:
    """The versions of a network: the initial one, and upgrades by ascending epoch."""

    first: int
    planned: tuple[Upgrade, ...] = ()

    def version_at(self, epoch: int) -> int:
        """Return the network version of an epoch's messages."""
        version = self.first
        for upgrade in self.planned:
            if upgrade.epoch < epoch:
                version = upgrade.version
        return version

    def of_streams(self, overlay: Overlay | None = None) -> Upgrade | None:
        """Return the upgrade that introduces streams of the block reward; `overlay` may add a draft version."""
        versions = [self.first, *(upgrade.version for upgrade in self.planned)]
        passed = [streams_version(versions_between(*both, overlay)) for both in pairwise(versions)]
        return next(
            (upgrade for upgrade, row in zip(self.planned, passed, strict=True) if row is not None),
            None,
        )

    def at(self, epoch: int) -> Upgrade | None:
        """Return the upgrade at the end of an epoch."""
        for upgrade in self.planned:
            if upgrade.epoch == epoch:
                return upgrade
        return None

    def with_more(self, more: Iterable[Upgrade], head: int, overlay: Overlay | None = None) -> Upgrades:
        """Add upgrades, which must not be before the head; `overlay` may add a draft version.

        Each is to a higher version than the one before it, or to other built-in actors at the same version. Planned
        ones are ignored. Raises InvalidInput.
        """
        new = [upgrade for upgrade in more if upgrade not in self.planned]
        for upgrade in new:
            if upgrade.epoch < head:
                raise InvalidInput(
                    f"the upgrade to nv{upgrade.version} at epoch {upgrade.epoch} is not possible: "
                    f"the head is already at epoch {head}"
                )
            if upgrade.epoch > LAST_EPOCH:
                raise InvalidInput(
                    f"the upgrade to nv{upgrade.version} is for an epoch that is too high: {upgrade.epoch}"
                )
            if self.at(upgrade.epoch) is not None:
                raise InvalidInput(f"another upgrade is planned for epoch {upgrade.epoch} already")
        planned = tuple(sorted((*self.planned, *new), key=lambda upgrade: upgrade.epoch))
        for before, after in pairwise([Upgrade(ChainEpoch(-1), self.first), *planned]):
            check_migration(before.version, after.version, after.actors is not None, overlay)
        return Upgrades(self.first, planned)


def upgrades_of_plan(
    plan: UpgradePlan, before: Upgrades, streams: StreamSettings | None = None, overlay: Overlay | None = None
) -> tuple[list[Upgrade], list[Bundle]]:
    """Return a plan's upgrades on a network that has some already, and their bundles.

    An upgrade that migrates states uses this project's actors unless the plan names others, and `streams`. An upgrade
    that is already planned is unchanged, including its bundle. Raises BundleError, and InvalidInput for a bundle that
    cannot read the states.
    """
    upgrades, bundles = list[Upgrade](), list[Bundle]()
    for epoch, wanted in plan.items():
        whole_number(epoch, "the epoch of an upgrade", None)
        whole_number(wanted[0] if isinstance(wanted, tuple) else wanted, "a network version", None)
    for epoch, wanted in sorted(plan.items()):
        version, named = wanted if isinstance(wanted, tuple) else (wanted, None)
        known = sorted((*before.planned, *upgrades), key=lambda upgrade: upgrade.epoch)
        passed = versions_between(Upgrades(before.first, tuple(known)).version_at(epoch), version, overlay)
        same, requested = before.at(epoch), streams if streams_version(passed) else None
        if same is not None and same.version == version:
            same.check_same(requested, None if named is None else _open(named).manifest.data)
            upgrades.append(same)
            continue
        bundle = _bundle_for(named, passed, version, overlay)
        if bundle is not None:
            bundles.append(bundle)
        actors = None if bundle is None else bundle.manifest.data
        upgrades.append(Upgrade(ChainEpoch(epoch), version, actors, requested))
    return upgrades, bundles


def _bundle_for(
    named: Bundle | str | Path | None, passed: Sequence[NetworkVersion], number: int, overlay: Overlay | None
) -> Bundle | None:
    """Return the bundle of an upgrade past some versions, up to `number`. Raises BundleError, InvalidInput."""
    streams_row = streams_version(passed)
    if named is None:
        return None if streams_row is None else Bundle.for_actors(streams_row.actors, streams_row.rules)
    bundle = _open(named)
    version, streams_row = actors_version(bundle.manifest), streams_version(versions_between(0, number, overlay))
    if streams_row is not None and version is not None and version < streams_row.actors:
        raise InvalidInput(
            f"the bundle has actors v{version}, which cannot read the states that nv{streams_row.number} writes: "
            f"use actors v{streams_row.actors}, or omit the bundle for own-v{streams_row.actors}"
        )
    check_not_ahead(bundle, number)
    return bundle


def check_not_ahead(bundle: Bundle, number: int) -> None:
    """Raise InvalidInput for actors that require the state layout of a later network version."""
    version, ahead = actors_version(bundle.manifest), streams_version(versions_between(number, LATEST.number))
    if ahead is not None and version is not None and version >= ahead.actors:
        raise InvalidInput(
            f"the bundle has actors v{version}, which read the states that nv{ahead.number} will write: "
            f"use older actors, or nv{ahead.number} instead of nv{number}"
        )


def _open(bundle: Bundle | str | Path) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)


def bundle_pins(bundles: Iterable[Bundle]) -> dict[bytes, bytes | None]:
    """Return the metadata entries that retain the bundles of future upgrades."""
    return {PIN_PREFIX + b"bundle " + bundle.root.hex().encode(): bytes(bundle.root) for bundle in bundles}


def upgrade_machine(machine: Hypervisor, upgrade: Upgrade, before: NetworkVersion) -> None:
    """Apply an upgrade of a network of version `before` to a machine's state; its bundle is in the store."""

    def progress(actors: int) -> None:
        if actors % _ACTORS_A_LINE == 0:
            _LOG.warning("the upgrade to nv%d has processed %d actors", upgrade.version, actors)

    manifest = None if upgrade.actors is None else Manifest.load(machine.store, upgrade.actors)
    row = network_version(upgrade.version, before.overlay)
    machine.advance(epoch=upgrade.epoch, network=before)  # a replay begins with a machine at another epoch
    machine.upgrade(row, manifest, upgrade.streams, progress)


def rehearse_upgrades(
    machine: Hypervisor, upgrades: Upgrades, head: int, bundles: Iterable[Bundle], known: Upgrades
) -> None:
    """Raise InvalidInput if the machine's state, that of the head, cannot be upgraded as planned from there on.

    `bundles` are those of the upgrades that are not in `known`. An upgrade after another one that rewrites states is
    checked by the versions of its actors only, since its state does not exist yet.
    """
    manifests = {bundle.manifest.data: bundle.manifest for bundle in bundles}
    old, overlay = machine.manifest, machine.context.network.overlay
    state: StateTree | None = machine.state_tree
    for upgrade in upgrades.planned:
        before, row = upgrades.version_at(upgrade.epoch), network_version(upgrade.version, overlay)
        draft = row if migrates_draft(before, row) else None
        if (upgrade.actors is None and draft is None) or upgrade.epoch < head:
            continue
        new, migrations = old, list[NetworkVersion]()
        if upgrade.actors is not None:
            new = manifests.get(upgrade.actors) or Manifest.load(machine.store, upgrade.actors)
            migrations = migrations_between(old, new, network_version(before, overlay), row)
        if state is not None and upgrade not in known.planned:
            rehearse(state, migrations, old, upgrade.epoch, upgrade.streams, draft, machine.spill)
        old, state = new, None if migrations or draft else state
