"""State migration from actors v18 to v19 at network version 29: the reward actor's streams and the market's layout.

The reward actor's state gets the data governed by contracts (FIP-0118): who may change the streams, with which
timelock, and the first two streams, one falling while the other rises. These values depend on the network: a row of
`STREAM_SETTINGS`, by the network name in the init actor's state. Source: forest `state_migration/nv29`, go-state-types
`builtin/v19/migration`.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.migrations.context import MigrationContext
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import BURNT_FUNDS_ACTOR, MARKET_ACTOR, REWARD_ACTOR, ActorID, encode_bigint
from hypervisor.versions.stream_settings import DEVELOPMENT, STREAM_SETTINGS, StreamSettings
from store.blockstore import put_object
from store.cid import Cid
from store.codec import decode, link

DENOM: Final = 10**18
"""The fixed-point value of 1 for a stream's weight and for shares."""

_OLD_REWARD_FIELDS: Final = 11
_OLD_MARKET_FIELDS: Final = 13
_ALLOCATIONS: Final = 11
"""Index of the removed market field: allocations of deals that are not active yet."""
_KEPT_REWARD_FIELDS: Final = 9
_UNGOVERNED_REWARD_FIELDS: Final = 11
_MINERS_STREAM, _SECOND_STREAM = 1, 2


def migrate(context: MigrationContext) -> None:
    """Rewrite the states of the reward actor and the market."""
    tree = context.tree
    settings = context.streams or STREAM_SETTINGS.get(context.network_name, DEVELOPMENT)
    reward, market = _singleton(tree, REWARD_ACTOR), _singleton(tree, MARKET_ACTOR)
    head = migrate_reward(tree, reward, settings, context.epoch, context.manifest)
    tree.set_actor(REWARD_ACTOR, reward.with_head(head))
    tree.set_actor(MARKET_ACTOR, market.with_head(migrate_market(tree, market)))


def _singleton(tree: StateTree, actor: ActorID) -> ActorState:
    state = tree.get_actor(actor)
    if state is None:
        raise InvalidInput(f"actor f0{actor}, whose state the upgrade changes, does not exist")
    return state


def migrate_market(tree: StateTree, state: ActorState) -> Cid:
    """Write the market's state without its allocations, and return its CID.

    Raises InvalidInput for a state with a different layout.
    """
    fields = _fields(tree, state, "market", _OLD_MARKET_FIELDS)
    return put_object(tree.store, fields[:_ALLOCATIONS] + fields[_ALLOCATIONS + 1 :])


def migrate_reward(tree: StateTree, state: ActorState, settings: StreamSettings, epoch: int, manifest: Manifest) -> Cid:
    """Write the reward actor's state with streams that begin after the upgrade epoch, and return its CID.

    `manifest` is that of the tree, in which addresses are looked up. Raises InvalidInput for a state with a different
    layout, and for addresses without an actor, of f099 or of a payment channel.
    """
    fields = _fields(tree, state, "reward", _OLD_REWARD_FIELDS)
    none = encode_bigint(0)
    governed = _governance_fields(tree, settings, epoch + 1, manifest)
    return put_object(tree.store, [*fields[:_KEPT_REWARD_FIELDS], none, none, *governed])


def begin_with_streams(tree: StateTree, state: ActorState, settings: StreamSettings, manifest: Manifest) -> Cid:
    """Write the reward actor's state for a genesis on actors v19, with streams that begin at epoch 1.

    Returns its CID. Raises InvalidInput like `migrate_reward`.
    """
    fields = decode(tree.store.get(state.head))
    return put_object(
        tree.store, [*fields[:_UNGOVERNED_REWARD_FIELDS], *_governance_fields(tree, settings, 1, manifest)]
    )


def _governance_fields(tree: StateTree, settings: StreamSettings, begin: int, manifest: Manifest) -> list[Any]:
    """Return the governance fields of the reward state: timelock, authority, accruals and streams."""
    settings.check()
    authority = _existing(tree, settings.authority, "stream-weight authority", manifest)
    streams, accrued = first_streams(tree, settings, begin, manifest)
    return [settings.timelock, authority, accrued, link(put_object(tree.store, [streams, [], []]))]


def first_streams(
    tree: StateTree, settings: StreamSettings, begin: int, manifest: Manifest
) -> tuple[list[Any], list[Any]]:
    """Return the streams at epoch `begin` and the (zero) accruals of explicit ones, as encoded on chain."""
    if settings.ramp == 0:
        return [[_MINERS_STREAM, [DENOM, 0, 0, DENOM, DENOM], None]], []
    step = -(-DENOM * 45 // 100 // settings.ramp)
    percent = DENOM // 100
    writer = _existing(tree, settings.writer, "writer of shares", manifest)
    recipient = _existing(tree, settings.recipient, "first recipient", manifest)
    distribution = [writer, [[recipient, DENOM]], [], []]
    return [
        [_MINERS_STREAM, [95 * percent, -step, begin, 50 * percent, 95 * percent], None],
        [_SECOND_STREAM, [5 * percent, step, begin, 5 * percent, 10 * percent], distribution],
    ], [[_SECOND_STREAM, encode_bigint(0)]]


def _fields(tree: StateTree, state: ActorState, actor: str, expected: int) -> list[Any]:
    fields = decode(tree.store.get(state.head))
    if not isinstance(fields, list) or len(fields) != expected:
        found = f"{len(fields)} fields" if isinstance(fields, list) else "no fields"
        raise InvalidInput(
            f"the state of the {actor} actor has {found}, expected {expected}: it is not from actors v18, or was "
            "migrated already"
        )
    return fields


def _existing(tree: StateTree, address: Address, role: str, manifest: Manifest) -> bytes:
    """Return the ID address, as bytes, of an actor that may have a role."""
    actor = tree.lookup_id(address)
    state = None if actor is None else tree.get_actor(actor)
    if actor is None or state is None:
        raise InvalidInput(f"no actor has the address {address} of the {role}; create it before the upgrade")
    if actor == BURNT_FUNDS_ACTOR or manifest.name_of(state.code) == "paymentchannel":
        what = "f099, the burnt funds actor" if actor == BURNT_FUNDS_ACTOR else "a payment channel"
        raise InvalidInput(f"{address} cannot be the {role}: it is {what}")
    return Address.id(ActorID(actor)).to_bytes()
