"""From one network version's built-in actors to another's, on a state as it is.

A migration gives each actor the code CID that its kind has in the new manifest and the system actor the new list;
nonces and balances stay. Where a version changes the layouts of states (`NetworkVersion.layouts`), its steps write
them anew (`hypervisor.migration_nv29`). Users' code is not touched. All of it happens, or nothing. Source:
go-state-types and forest, the migrations of network versions 27 to 29.
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
    """InvalidInput where a state of one network version cannot become one of another.

    `other_actors`: with other built-in actors than the state has, for which the version may stay the same.
    """
    network_version(after)
    passed = versions_between(before, after)
    if not passed and not (after == before and other_actors):
        hint = ": name a bundle to exchange its built-in actors" if after == before else ""
        raise InvalidInput(f"network version nv{after} is not an upgrade of nv{before}{hint}")
    unknown = [row.number for row in passed if row.layouts is Layouts.UNKNOWN]
    if other_actors and unknown:
        raise InvalidInput(
            f"nv{before} cannot be upgraded to nv{after} with other built-in actors: nv{unknown[0]} changes the "
            "layouts of their states, and this machine does not have its migration"
        )


def first_state_migration(passed: Iterable[NetworkVersion]) -> NetworkVersion | None:
    """The first of some versions whose upgrade writes states anew, and so needs the actors that read them."""
    return next((row for row in passed if row.layouts is Layouts.STREAMS), None)


def rehearse(
    tree: StateTree, manifest: Manifest, passed: Iterable[NetworkVersion], epoch: int, streams: StreamSettings | None
) -> None:
    """Try on a copy of a state what its upgrade will do with actors' states. Raises InvalidInput where it cannot.

    `manifest` is that of the state as it is.
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
    """The root of a state like `tree`, in which every actor of the old manifest has the code of the new one.

    States have the layout of the versions passed. The new code must be in the store. `epoch` is that of the upgrade,
    which is the last thing that happens in it. `streams` takes the place of what `STREAM_SETTINGS` has for the network.
    `progress` gets the number of actors that were looked at, on long ways. `tree` is flushed, and stays as it is.
    Raises InvalidInput for a state that cannot be migrated, which costs no walk, and Fatal for one that cannot be read.
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
    """The new code by the old one."""
    codes: dict[Cid, Cid] = {}
    for name, before, after in zip(ACTOR_NAMES, old.codes, new.codes, strict=True):
        if codes.setdefault(before, after) != after:
            raise InvalidInput(f"{name} shares its code {show(before)} with another actor, but not in the new bundle")
    return codes


def _split_rewards(tree: StateTree, manifest: Manifest, epoch: int, streams: StreamSettings | None) -> None:
    """The steps of network version 29, before the code is exchanged. `manifest`: of the actors as they are."""
    settings = streams or STREAM_SETTINGS.get(tree.init_state().network_name, DEVELOPMENT)
    reward, market = _singleton(tree, REWARD_ACTOR), _singleton(tree, MARKET_ACTOR)
    tree.set_actor(REWARD_ACTOR, reward.with_head(migrate_reward(tree, reward, settings, epoch, manifest)))
    tree.set_actor(MARKET_ACTOR, market.with_head(migrate_market(tree, market)))


def _singleton(tree: StateTree, actor: ActorID) -> ActorState:
    state = tree.get_actor(actor)
    if state is None:
        raise InvalidInput(f"the state has no actor f0{actor}, whose state the upgrade changes")
    return state
