"""When a network changes its version, and what its built-in actors are from then on.

As on the network, an upgrade at an epoch is the last thing that happens in it: messages of that epoch run by the old
rules, those of the next by the new ones, on a state whose actors have new code (`hypervisor.migration`). What is
planned is part of the folder's record, the bundles too, so it survives the process. Rules: lotus chain/stmgr/forks.go
(`HandleStateForks`, `GetNetworkVersion`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from hypervisor.bundle import Bundle, Manifest
from hypervisor.errors import InvalidInput
from hypervisor.migration import check_migration
from hypervisor.types import ChainEpoch
from localnet.given import whole_number
from store.cid import Cid
from store.codec import link, unlink
from store.roots import PIN_PREFIX

if TYPE_CHECKING:
    from hypervisor.machine import Hypervisor

UpgradePlan = Mapping[int, int | tuple[int, Bundle | str | Path]]
"""By epoch: a network version, or one with the bundle of built-in actors that comes with it."""

LAST_EPOCH: Final = (1 << 63) - 1
"""Epochs have 64 bits with a sign."""

_LOG: Final = logging.getLogger(__name__)
_ACTORS_A_LINE: Final = 100_000
"""The log has a line for so many actors, one in some two seconds: a short upgrade has none."""

NO_UPGRADES: Final[UpgradePlan] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Upgrade:
    """After `epoch` the network is of `version`; `actors` is the data CID of another manifest, or None."""

    epoch: ChainEpoch
    version: int
    actors: Cid | None = None

    def fields(self) -> list[Any]:
        """As the folder's record keeps it."""
        return [self.epoch, self.version, None if self.actors is None else link(self.actors)]

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Upgrade:
        """The inverse of `fields`. Raises TypeError, ValueError."""
        epoch, version, actors = fields
        if not isinstance(epoch, int) or not isinstance(version, int):
            raise TypeError("epochs and versions are numbers")
        return cls(ChainEpoch(epoch), version, None if actors is None else unlink(actors))


@dataclass(frozen=True, slots=True)
class Upgrades:
    """The versions of a network's life: the first one, and upgrades by rising epochs."""

    first: int
    planned: tuple[Upgrade, ...] = ()

    def version_at(self, epoch: int) -> int:
        """The network version whose rules an epoch's messages follow."""
        return [self.first, *(upgrade.version for upgrade in self.planned if upgrade.epoch < epoch)][-1]

    def at(self, epoch: int) -> Upgrade | None:
        """The upgrade with which an epoch ends."""
        return next((upgrade for upgrade in self.planned if upgrade.epoch == epoch), None)

    def with_more(self, more: Iterable[Upgrade], head: int) -> Upgrades:
        """These and others, none of them before the head, each to a higher version than the one before it.

        One that is there already is taken for what it is. Raises InvalidInput.
        """
        new = [upgrade for upgrade in more if upgrade not in self.planned]
        for upgrade in new:
            if upgrade.epoch < head:
                raise InvalidInput(
                    f"the upgrade to nv{upgrade.version} at epoch {upgrade.epoch} comes too late: the head is at {head}"
                )
            if upgrade.epoch > LAST_EPOCH:
                raise InvalidInput(
                    f"the upgrade to nv{upgrade.version} is for an epoch that never comes: {upgrade.epoch}"
                )
            if self.at(upgrade.epoch) is not None:
                raise InvalidInput(f"another upgrade is planned for epoch {upgrade.epoch} already")
        planned = tuple(sorted((*self.planned, *new), key=lambda upgrade: upgrade.epoch))
        for before, after in pairwise([Upgrade(ChainEpoch(-1), self.first), *planned]):
            check_migration(before.version, after.version, after.actors is not None)
        return Upgrades(self.first, planned)


def planned(plan: UpgradePlan) -> tuple[list[Upgrade], list[Bundle]]:
    """A plan's upgrades, and the bundles that they need. Raises BundleError."""
    upgrades, bundles = [], []
    for epoch, wanted in plan.items():
        version, bundle = wanted if isinstance(wanted, tuple) else (wanted, None)
        whole_number(epoch, "the epoch of an upgrade", None)
        whole_number(version, "a network version", None)
        if bundle is not None and not isinstance(bundle, Bundle):
            bundle = Bundle.open(bundle)
        if bundle is not None:
            bundles.append(bundle)
        upgrades.append(Upgrade(ChainEpoch(epoch), version, None if bundle is None else bundle.manifest.data))
    return upgrades, bundles


def bundle_pins(bundles: Iterable[Bundle]) -> dict[bytes, bytes | None]:
    """Entries of the metadata that keep bundles whose time has not come yet."""
    return {PIN_PREFIX + b"bundle " + bundle.root.hex().encode(): bytes(bundle.root) for bundle in bundles}


def upgrade_machine(machine: Hypervisor, upgrade: Upgrade) -> None:
    """Do on a machine's state what an upgrade does, whose bundle the store holds."""
    from hypervisor.network_versions import network_version

    def progress(actors: int) -> None:
        if actors % _ACTORS_A_LINE == 0:
            _LOG.warning("the upgrade to nv%d has looked at %d actors", upgrade.version, actors)

    manifest = None if upgrade.actors is None else Manifest.load(machine.store, upgrade.actors)
    machine.upgrade(network_version(upgrade.version), manifest, progress=progress)
