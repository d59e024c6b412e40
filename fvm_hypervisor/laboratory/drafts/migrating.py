"""Consent to the migration of a draft version, and work in processes that may run it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from fvm_hypervisor.laboratory.drafts.reading import DraftMigration, DraftVersion
from fvm_hypervisor.soltest.consent import ConsentNeeded, trusted_projects
from hypervisor.migrations.context import allow_migration, is_allowed, migration_digest

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
