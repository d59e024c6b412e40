"""Networks that start with a draft version or upgrade to it, and consent to the version's migration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.migrations.migration import allow_migration, is_allowed, migration_digest
from hypervisor_tools.laboratory.drafts.reading import DraftMigration, DraftVersion, check_syscalls, named_draft
from hypervisor_tools.soltest.project.consent import ConsentNeeded, trusted_projects
from localnet.ledger.upgrades import UpgradePlan
from localnet.opening import NetworkSettings


def under_draft(settings: NetworkSettings) -> NetworkSettings:
    """Return the settings of a network whose setting `network` is a draft's file.

    Raises InvalidInput, also for an overlay used with the draft. Raises ConsentNeeded for a migration without consent.
    """
    text = str(settings.network)
    draft = named_draft(text, settings.overlay)
    if draft is None:
        raise InvalidInput(
            f"network version {text!r:.80} is neither a version such as nv29 nor a file of a draft (.toml)"
        )
    allow_draft(draft, trust=False)
    forks = settings.fork is not None
    return replace(settings, **draft_options(draft, settings.upgrades, settings.bundle, forks=forks))


def draft_options(
    draft: DraftVersion, upgrades: UpgradePlan, bundle: Bundle | str | Path | None, *, forks: bool
) -> dict[str, Any]:
    """Return a draft's version, overlay, planned upgrades and bundle as settings of a network.

    The epoch in the draft's file becomes a planned upgrade to the draft, unless `upgrades` already plans one.
    Without such an epoch, the network has the base version until a request upgrades it. A network that `forks` another
    takes that network's version. Raises InvalidInput, also for a bundle with an actor that imports a disabled syscall.
    """
    plan: dict[int, Any] = dict(upgrades)
    is_planned = draft.number in [each[0] if isinstance(each, tuple) else each for each in plan.values()]
    starts_with_draft = draft.epoch == 0 and not is_planned
    if draft.epoch and not is_planned:
        plan[draft.epoch] = draft.number
    if draft.bundle is not None:
        plan = {at: (draft.number, draft.bundle) if each == draft.number else each for at, each in plan.items()}
    upgraded = [each[1] for each in plan.values() if isinstance(each, tuple) and each[0] == draft.number]
    for named in upgraded or ([] if bundle is None else [bundle]):
        _check_bundle(named, draft)
    return {
        "network": None if forks and not starts_with_draft else draft.number if starts_with_draft else draft.base,
        "overlay": draft.overlay,
        "upgrades": plan,
        "bundle": bundle or (draft.bundle if starts_with_draft else None),
    }


def _check_bundle(named: Bundle | str | Path, draft: DraftVersion) -> None:
    """Raise InvalidInput if a bundle other than the draft's has actors that import syscalls that the draft disables."""
    disabled = str(dict(draft.overlay.rules).get("disabled_syscalls", ""))
    if disabled and named is not draft.bundle:
        check_syscalls(named if isinstance(named, Bundle) else Bundle.open(named), disabled.split(","))


T = TypeVar("T")
R = TypeVar("R")


def allow_draft(draft: DraftVersion, *, trust: bool) -> None:
    """Load the migration of a draft version, if it has one, so that this process can upgrade to the version.

    `trust` is the user's consent for this process, which later calls need not repeat. Raises ConsentNeeded if there is
    neither this consent nor one by `hypervisor trust`, and InvalidInput for a migration that cannot be loaded.
    """
    migration = draft.migration
    if migration is None or is_allowed(migration_digest(migration.source)):
        return
    known = trusted_projects().get(str(migration.path.resolve()))
    if not trust and known != migration_digest(migration.source):
        changed = ", which has changed since you trusted it" if known is not None else ""
        raise ConsentNeeded(
            f"the draft {draft.path} has a migration in Python, {migration.path}{changed}: running it needs your "
            f"consent; read it, then trust it with `hypervisor trust {migration.path}`, or for one run with --trust "
            "(in Python `allow_draft(draft, trust=True)`)"
        )
    allow_migration(migration.source, str(migration.path))


def run_allowed(migration: DraftMigration, work: Callable[[T], R], item: T) -> R:
    """Call `work` in a worker process that may run a migration, which the user has consented to."""
    allow_migration(migration.source, str(migration.path))
    return work(item)


def with_migration(draft: DraftVersion | None, work: Callable[[T], R]) -> Callable[[T], R]:
    """Return `work` for worker processes that may run the migration of a draft version, if it has one."""
    return work if draft is None or draft.migration is None else partial(run_allowed, draft.migration, work)
