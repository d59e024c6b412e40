"""Migration of a state to the built-in actors of another network version.

A migration replaces each actor's code CID by that of the same type in the new manifest, and the manifest in the system
actor's state; nonces and balances are unchanged. Versions that change the layout of states (`NetworkVersion.layouts`)
have a function in `MIGRATIONS`, which rewrites them first. Which of them run depends on the versions of the actors:
this project's actors have the layouts of v18 under all network versions. User code is unchanged. A migration is atomic:
a killed one has no effect and is repeated. Source: go-state-types and forest, migrations of network versions 19 to 29.

The migration of a draft is Python code of a user, found by its digest. An overlay records the SHA-256, never the code.
A process runs the code only after `allow_migration`, which its caller calls with the user's consent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from inspect import iscoroutinefunction
from traceback import extract_tb
from types import ModuleType
from typing import Final

from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.migrations import nv19_to_nv25, nv29
from hypervisor.migrations.context import MigrationContext
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR
from hypervisor.versions.network_versions import (
    Layouts,
    NetworkVersion,
    layouts_between,
    network_version_row,
    versions_between,
)
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.stream_settings import StreamSettings
from store.blocks.memory import BufferedStore
from store.blockstore import put_object
from store.cid import Cid, show
from store.codec import link

Migration = Callable[[MigrationContext], None]

MIGRATIONS: Final[Mapping[int, Migration]] = {
    19: nv19_to_nv25.migrate_to_nv19,
    21: nv19_to_nv25.migrate_to_nv21,
    22: nv19_to_nv25.migrate_to_nv22,
    23: nv19_to_nv25.migrate_to_nv23,
    24: nv19_to_nv25.migrate_to_nv24,
    25: nv19_to_nv25.migrate_to_nv25,
    29: nv29.migrate,
}
"""Functions that rewrite states, by network version."""


def check_migration(before: int, after: int, other_actors: bool, overlay: Overlay | None = None) -> None:
    """Raise InvalidInput if version `after` does not follow `before`; `overlay` may add a draft version.

    `other_actors` is true if the built-in actors are replaced; the version may then stay the same.
    """
    network_version_row(after, overlay)
    if not versions_between(before, after, overlay) and not (after == before and other_actors):
        hint = "; pass a bundle to replace its built-in actors" if after == before else ""
        raise InvalidInput(f"network version nv{after} is not an upgrade of nv{before}{hint}")


def streams_version(passed: Iterable[NetworkVersion]) -> NetworkVersion | None:
    """Return the version among `passed` that splits rewards, and so requires the actors of that version, or None."""
    return next((row for row in passed if row.layouts is Layouts.STREAMS), None)


def migrations_between(
    old: Manifest, new: Manifest, before: NetworkVersion, after: NetworkVersion
) -> list[NetworkVersion]:
    """Return the versions whose migrations turn states of the actors `old` into states of the actors `new`.

    `before` and `after` are the network versions; a user's own bundle counts as the actors of its network version.
    Raises InvalidInput for new actors that cannot read the states of the old ones.
    """
    first = actors_version(old) or before.actors
    last = actors_version(new) or after.actors
    lost = layouts_between(last, first)
    if lost:
        raise InvalidInput(
            f"the new bundle has actors v{last}, which cannot read the states of the current actors v{first}: "
            f"nv{lost[0].number} changed their layout; use a bundle of actors v{first} or newer"
        )
    versions = layouts_between(first, last)
    missing = [row.number for row in versions if row.number not in MIGRATIONS]
    if missing:
        raise InvalidInput(f"nv{missing[0]} changes the layout of states, and its migration is not implemented")
    return versions


def migrates_draft(before: int, after: NetworkVersion) -> bool:
    """Return True if an upgrade from version `before` runs the migration of a draft version."""
    draft = None if after.overlay is None else after.overlay.draft
    return draft is not None and before < draft.number <= after.number and bool(draft.migration)


def rehearse(
    tree: StateTree,
    versions: Iterable[NetworkVersion],
    manifest: Manifest,
    epoch: int,
    streams: StreamSettings | None,
    draft: NetworkVersion | None = None,
    spill: Callable[[BufferedStore], None] | None = None,
) -> None:
    """Run the migrations to `versions` on a copy of a state. Raises InvalidInput if they are not possible.

    `manifest` is that of the state's actors, and `draft` a draft version with a migration, or None. `spill` is called
    at intervals with the buffer of the copy, which it may empty.
    """
    buffer = BufferedStore(tree.store)
    copy = StateTree(buffer, tree.flush())
    progress = None if spill is None else lambda _: spill(buffer)
    _run(versions, copy, manifest, epoch, streams, progress)
    if draft is not None:
        migrate_draft(copy, manifest, draft, epoch, progress)


def migrate_draft(
    tree: StateTree,
    manifest: Manifest,
    version: NetworkVersion,
    epoch: int,
    progress: Callable[[int], None] | None = None,
) -> Cid:
    """Run the migration to a draft version on a state with the actors of `manifest`, and return the new root.

    It runs after the code of the actors is replaced. `tree` is flushed but not modified. Raises InvalidInput.
    """
    copy = StateTree(tree.store, tree.flush())
    draft = None if version.overlay is None else version.overlay.draft
    assert draft is not None, "the version is a draft"
    run_draft_migration(draft.migration, MigrationContext(version.number, copy, manifest, epoch, None, progress))
    return copy.flush()


def migrate_state(
    tree: StateTree,
    old: Manifest,
    new: Manifest,
    before: NetworkVersion,
    after: NetworkVersion,
    epoch: int = 0,
    streams: StreamSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Cid:
    """Migrate a state from the actors of `old` to those of `new`, and return its root.

    `before` and `after` are the network versions. The new code must be in the store. `epoch` is the upgrade epoch; the
    migration is the last operation in it. `streams` overrides the network's `STREAM_SETTINGS`. `progress` is called
    with the number of actors processed, at intervals. `tree` is flushed but not modified. Raises InvalidInput for a
    state that cannot be migrated, and Fatal for one that cannot be read.
    """
    root = tree.flush()
    if old.data == new.data:
        return root
    draft, codes = StateTree(tree.store, root), _new_codes(old, new)
    _run(migrations_between(old, new, before, after), draft, old, epoch, streams, progress)
    system = draft.get_actor(SYSTEM_ACTOR)
    if system is not None:
        draft.set_actor(SYSTEM_ACTOR, system.with_head(put_object(draft.store, [link(new.data)])))
    draft.exchange_code(codes, progress)
    return draft.flush()


def _run(
    versions: Iterable[NetworkVersion],
    tree: StateTree,
    manifest: Manifest,
    epoch: int,
    streams: StreamSettings | None,
    progress: Callable[[int], None] | None,
) -> None:
    for version in versions:
        MIGRATIONS[version.number](MigrationContext(version.number, tree, manifest, epoch, streams, progress))


def _new_codes(old: Manifest, new: Manifest) -> dict[Cid, Cid]:
    codes: dict[Cid, Cid] = {}
    for name, before, after in zip(ACTOR_NAMES, old.codes, new.codes, strict=True):
        if codes.setdefault(before, after) != after:
            raise InvalidInput(
                f"{name} shares its code {show(before)} with another actor in the old bundle, but not in the new one"
            )
    return codes


FUNCTION: Final = "migrate"
"""Name of a migration's function in its file."""
_ALLOWED: Final[dict[str, tuple[str, Migration]]] = {}
"""File name and function of the migrations that this process may run, by digest."""


def migration_digest(source: bytes) -> str:
    """Return the digest that identifies a migration, in hex."""
    return sha256(source).hexdigest()


def allow_migration(source: bytes, file: str) -> None:
    """Execute the Python file of a migration, and let this process run its function `migrate`. Raises InvalidInput."""
    digest = migration_digest(source)
    if digest in _ALLOWED:
        return
    module = ModuleType(f"draft_migration_{digest[:8]}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses look up their module
    try:
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102  # the user has consented to this code
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InvalidInput(f"the migration {file} cannot be loaded: {type(error).__name__}: {error}") from error
    function = module.__dict__.get(FUNCTION)
    if not callable(function) or iscoroutinefunction(function):
        raise InvalidInput(f"the migration {file} has no function {FUNCTION}(context)")
    _ALLOWED[digest] = file, function


def is_allowed(digest: str) -> bool:
    """Return True if this process may run the migration with this digest."""
    return digest in _ALLOWED


def run_draft_migration(digest: str, context: MigrationContext) -> None:
    """Run a migration. Raises InvalidInput if it fails, or if this process may not run it."""
    file, function = _find_allowed_migration(digest, context.version)
    try:
        function(context)
    except (InvalidInput, Fatal):
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"the migration {file} to nv{context.version} failed{_line(file, error)}: {type(error).__name__}: {error}; "
            "the state is unchanged"
        ) from error


def _line(file: str, error: BaseException) -> str:
    """Return the line of the file at which an error was raised, as ` in line 3`; empty if it is unknown."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]}" if lines else ""


def _find_allowed_migration(digest: str, version: int) -> tuple[str, Migration]:
    try:
        return _ALLOWED[digest]
    except KeyError:
        raise InvalidInput(
            f"the upgrade to nv{version} runs a migration in Python (SHA-256 {digest}), which needs your consent: pass "
            "the draft's file with --network, and trust its migration with `hypervisor trust FILE.py` or --trust"
        ) from None
