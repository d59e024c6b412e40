"""From one network version's built-in actors to another's, on a state as it is.

Between the versions that keep the layouts of all states (`NetworkVersion.keeps_layouts`) a migration gives each actor
the code CID that its kind has in the new manifest and the system actor the new list; heads, nonces and balances stay.
Users' code is not touched. Source: go-state-types and forest, the migrations of network versions 27 and 28.
"""

from __future__ import annotations

from dataclasses import replace

from hypervisor.bundle import ACTOR_NAMES, Manifest
from hypervisor.errors import InvalidInput
from hypervisor.network_versions import NETWORK_VERSIONS, network_version
from hypervisor.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR
from store.blockstore import put_object
from store.cid import Cid, show
from store.codec import link


def check_migration(before: int, after: int, other_actors: bool) -> None:
    """InvalidInput where a state of one network version cannot become one of another.

    `other_actors`: with other built-in actors than the state has.
    """
    network_version(after)
    if after <= before:
        raise InvalidInput(f"network version nv{after} is not an upgrade of nv{before}")
    passed = [row for number, row in NETWORK_VERSIONS.items() if before < number <= after]
    changing = [row.number for row in passed if not row.keeps_layouts]
    if other_actors and changing:
        raise InvalidInput(
            f"nv{before} cannot be upgraded to nv{after} with other built-in actors: nv{changing[0]} changes the "
            "layouts of their states, and this machine only exchanges their code"
        )


def migrate(tree: StateTree, old: Manifest, new: Manifest) -> None:
    """Give every actor of the old manifest the code of the new one; the new code must be in the store."""
    if old.data == new.data:
        return
    codes: dict[Cid, Cid] = {}
    for name, before, after in zip(ACTOR_NAMES, old.codes, new.codes, strict=True):
        if codes.setdefault(before, after) != after:
            raise InvalidInput(f"{name} shares its code {show(before)} with another actor, but not in the new bundle")
    tree.flush()
    for actor, state in list(tree.actors()):
        code = codes.get(state.code, state.code)
        if actor == SYSTEM_ACTOR:
            tree.set_actor(actor, replace(state, code=code, head=put_object(tree.store, [link(new.data)])))
        elif code != state.code:
            tree.set_actor(actor, replace(state, code=code))
