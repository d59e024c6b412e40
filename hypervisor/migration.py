"""Migration of a state to the built-in actors of another network version.

A migration replaces each actor's code CID by that of the same type in the new manifest, and the manifest in the system
actor's state; nonces and balances are unchanged. If a version changes the layout of states (`NetworkVersion.layouts`),
its steps rewrite them (`hypervisor.migration_nv29`). User code is unchanged. The migration is atomic. Source:
go-state-types and forest, migrations of network versions 27 to 29.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypervisor.errors import InvalidInput
from hypervisor.manifest import ACTOR_NAMES, Manifest
from hypervisor.migration_nv29 import (
    DEVELOPMENT,
    STREAM_SETTINGS,
    StreamSettings,
    migrate_market,
    migrate_reward,
)
from hypervisor.network_versions import Layouts, NetworkVersion, network_version, versions_between
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.types import MARKET_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, ActorID
from store.blockstore import put_object
from store.cid import Cid, show
from store.codec import link


def check_migration(before: int, after: int, other_actors: bool) -> None:
    """Raise InvalidInput if a state of version `before` cannot be migrated to version `after`.

    `other_actors` is true if the built-in actors are replaced; the version may then stay the same.
    """
    network_version(after)
    passed = versions_between(before, after)
    if not passed and not (after == before and other_actors):
        hint = "; pass a bundle to replace its built-in actors" if after == before else ""
        raise InvalidInput(f"network version nv{after} is not an upgrade of nv{before}{hint}")
    unknown = [row.number for row in passed if row.layouts is Layouts.UNKNOWN]
    if other_actors and unknown:
        raise InvalidInput(
            f"nv{before} cannot be upgraded to nv{after} with other built-in actors: nv{unknown[0]} changes the "
            "layout of their states, and its migration is not implemented"
        )


def first_state_migration(passed: Iterable[NetworkVersion]) -> NetworkVersion | None:
    """Return the first of the versions that rewrites states, and so requires the matching actors, or None."""
    return next((row for row in passed if row.layouts is Layouts.STREAMS), None)


def rehearse(
    tree: StateTree, manifest: Manifest, passed: Iterable[NetworkVersion], epoch: int, streams: StreamSettings | None
) -> None:
    """Run the state migrations of an upgrade on a copy of a state. Raises InvalidInput if they are not possible.

    `manifest` is that of the current state.
    """
    if first_state_migration(passed) is not None:
        _split_rewards(StateTree(tree.store, tree.flush()), manifest, epoch, streams)


def migrate_state(
    tree: StateTree,
    old: Manifest,
    new: Manifest,
    passed: Iterable[NetworkVersion] = (),
    epoch: int = 0,
    streams: StreamSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> Cid:
    """Migrate a state from the actors of `old` to those of `new`, and return its root.

    State layouts follow the versions in `passed`. The new code must be in the store. `epoch` is the upgrade epoch; the
    migration is the last operation in it. `streams` overrides the network's `STREAM_SETTINGS`. `progress` is called
    with the number of actors processed, at intervals. `tree` is flushed but not modified. Raises InvalidInput, before
    any walk, for a state that cannot be migrated, and Fatal for one that cannot be read.
    """
    root = tree.flush()
    if old.data == new.data:
        return root
    draft, codes = StateTree(tree.store, root), _new_codes(old, new)
    if first_state_migration(passed) is not None:
        _split_rewards(draft, old, epoch, streams)
    system = draft.get_actor(SYSTEM_ACTOR)
    if system is not None:
        draft.set_actor(SYSTEM_ACTOR, system.with_head(put_object(draft.store, [link(new.data)])))
    draft.exchange_code(codes, progress)
    return draft.flush()


def _new_codes(old: Manifest, new: Manifest) -> dict[Cid, Cid]:
    """Return a mapping from old to new code CIDs."""
    codes: dict[Cid, Cid] = {}
    for name, before, after in zip(ACTOR_NAMES, old.codes, new.codes, strict=True):
        if codes.setdefault(before, after) != after:
            raise InvalidInput(
                f"{name} shares its code {show(before)} with another actor in the old bundle, but not in the new one"
            )
    return codes


def _split_rewards(tree: StateTree, manifest: Manifest, epoch: int, streams: StreamSettings | None) -> None:
    """Run the steps of network version 29 before the code is replaced; `manifest` is that of the current actors."""
    settings = streams or STREAM_SETTINGS.get(tree.init_state().network_name, DEVELOPMENT)
    reward, market = _singleton(tree, REWARD_ACTOR), _singleton(tree, MARKET_ACTOR)
    tree.set_actor(REWARD_ACTOR, reward.with_head(migrate_reward(tree, reward, settings, epoch, manifest)))
    tree.set_actor(MARKET_ACTOR, market.with_head(migrate_market(tree, market)))


def _singleton(tree: StateTree, actor: ActorID) -> ActorState:
    state = tree.get_actor(actor)
    if state is None:
        raise InvalidInput(f"actor f0{actor}, whose state the upgrade changes, does not exist")
    return state
