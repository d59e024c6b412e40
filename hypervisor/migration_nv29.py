"""State migration from actors v18 to v19 at network version 29: the reward actor's streams and the market's layout.

The reward actor's state gets the data governed by contracts (FIP-0118): who may change the streams, with which
timelock, and the first two streams, one falling while the other rises. These values depend on the network: a row of
`STREAM_SETTINGS`, by the network name in the init actor's state. Source: forest `state_migration/nv29`, go-state-types
`builtin/v19/migration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypervisor.address import Address
from hypervisor.argument_checks import whole_number
from hypervisor.bigint import encode_bigint
from hypervisor.errors import InvalidInput
from hypervisor.manifest import Manifest
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.types import BURNT_FUNDS_ACTOR, EAM_ACTOR, SYSTEM_ACTOR, ActorID
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
_LONGEST: Final = (1 << 62) - 1
"""Maximum length of a timelock or ramp in epochs; an epoch plus this fits into a signed 64-bit integer."""
_MINERS_STREAM, _SECOND_STREAM = 1, 2


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Initial stream settings of a network's reward actor at network version 29.

    `timelock` is the number of epochs from a change by the authority to its effect. `ramp` is the number of epochs in
    which the miners' stream would fall from 95 % to 50 % while the second one rises equally; 0 for the miners' stream
    alone. `authority` (SWA) may change streams and weights, `writer` (SRA) the shares of the second stream, all of
    which `recipient` receives at first.
    """

    timelock: int
    ramp: int
    authority: Address
    writer: Address
    recipient: Address

    def fields(self) -> list[Any]:
        """Return the fields for a folder's record."""
        return [self.timelock, self.ramp, *(role.to_bytes() for role in (self.authority, self.writer, self.recipient))]

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> StreamSettings:
        """Create settings from `fields`. Raises TypeError and ValueError."""
        timelock, ramp, *roles = fields
        authority, writer, recipient = map(Address.from_bytes, roles)
        return cls(timelock, ramp, authority, writer, recipient)

    def named(self) -> dict[str, int | Address]:
        """Return the settings by their option names."""
        return {
            "swa": self.authority,
            "sra": self.writer,
            "orchestrator": self.recipient,
            "ramp": self.ramp,
            "timelock": self.timelock,
        }

    def check(self) -> None:
        """Raise InvalidInput for epochs out of range."""
        for name, epochs in (("timelock", self.timelock), ("ramp", self.ramp)):
            whole_number(epochs, f"the {name} of streams", 0, _LONGEST, unit="epochs")


def _contract(text: str) -> Address:
    return Address.delegated(EAM_ACTOR, bytes.fromhex(text))


_NOBODY: Final = Address.id(SYSTEM_ACTOR)
DEVELOPMENT: Final = StreamSettings(50, 900, _NOBODY, _NOBODY, _NOBODY)
_DEPLOYED: Final = (
    _contract("66c11a9f6dfec3c1557958cf9f575a023eb01421"),
    _contract("0339f205314c8210af7cb075d1a96d012e7896a9"),
    _contract("97a90f5696be5e3c8d3752c92adac287c2b4484e"),
)
STREAM_SETTINGS: Final[Mapping[str, StreamSettings]] = {
    "mainnet": StreamSettings(20_160, 2_366_766, *_DEPLOYED),
    "calibrationnet": StreamSettings(720, 25_920, *_DEPLOYED),
    "butterflynet": StreamSettings(
        40,
        2_160,
        _contract("17c43bc9d8e8600ebe7599c18f2da2d5ced68d95"),
        _contract("ea340224f4df7d01d2657964215e37452165b0a1"),
        _contract("48c7dc38e74c9fa9ea6484ad6ad0520349dc9b40"),
    ),
}
"""Settings by network name; other networks use `DEVELOPMENT`. Source: network parameters of lotus and forest."""


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
