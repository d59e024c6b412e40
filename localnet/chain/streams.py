"""The streams of the block reward in a local network, from network version 29 on.

`stream_settings` replaces the network's parameters by test values:

- the writers of the streams (SWA) and of the shares of the second stream (SRA);
- the initial recipient of all shares;
- the timelock and the ramp, both in epochs.

`hypervisor.migrations.nv29` applies them at the upgrade.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.migrations.nv29 import DENOM, begin_with_streams
from hypervisor.types import REWARD_ACTOR, ActorID, TokenAmount
from hypervisor.versions.network_versions import NETWORK_VERSIONS, Layouts
from hypervisor.versions.stream_settings import DEVELOPMENT, StreamSettings
from localnet.addresses import Target, filecoin_address
from localnet.state.controls import set_balance
from store.blockstore import get_object
from store.cid import Cid
from store.codec import unlink

_LAYOUT, _LAYOUT_BEFORE = "StateV19", "State"
"""The types in the schema of the reward actor whose state has streams, and of the one before."""
_PERCENT: Final = DENOM // 100


def stream_settings(
    swa: Target | None = None,
    sra: Target | None = None,
    orchestrator: Target | None = None,
    ramp: int = DEVELOPMENT.ramp,
    timelock: int = DEVELOPMENT.timelock,
) -> StreamSettings:
    """Return settings with these roles, each an address in any form (default: f00), and epochs (default: a devnet's).

    `swa` may write the streams of the block reward, `sra` the shares of the second one. Raises AddressError and
    InvalidInput for addresses that cannot have the role.

    >>> from localnet import stream_settings
    >>> settings = stream_settings(swa="f0100", ramp=90)
    >>> settings.authority, settings.ramp
    (Address.parse('f0100'), 90)
    """
    roles = (DEVELOPMENT.authority if role is None else filecoin_address(role) for role in (swa, sra, orchestrator))
    settings = StreamSettings(timelock, ramp, *roles)
    settings.check()
    return settings


def has_streams(machine: Hypervisor) -> bool:
    """Return True if the reward actor has streams, which network version 29 introduced."""
    return stream_fields(_reward(machine)) is not None


def stream_fields(reward: Any) -> dict[str, Any] | None:
    """Return the fields of a reward actor's state by name; None for a state without streams."""
    return _read(_LAYOUT, reward)


def begin_streams(machine: Hypervisor, settings: StreamSettings) -> None:
    """Add streams to a genesis in addition to the miners'.

    An Ethereum address that has no actor yet gets a placeholder: the contract that is deployed there has its ID.
    Raises InvalidInput for roles that an actor cannot have.
    """
    for role in (settings.authority, settings.writer, settings.recipient):
        if role.protocol == Protocol.DELEGATED and machine.actor(role) is None:
            set_balance(machine, role, TokenAmount(0))
    tree = machine.state_tree
    state = tree.get_actor(REWARD_ACTOR)
    assert state is not None, "a genesis has a reward actor"
    tree.set_actor(REWARD_ACTOR, replace(state, head=begin_with_streams(tree, state, settings, machine.manifest)))


def check_streams(machine: Hypervisor, settings: StreamSettings) -> None:
    """Raise InvalidInput if a network's timelock and authority differ from the requested ones, or are missing.

    The other settings may have changed since genesis.
    """
    fields = stream_fields(_reward(machine))
    if fields is None:
        first = next(row.number for row in NETWORK_VERSIONS.values() if row.layouts is Layouts.STREAMS)
        raise InvalidInput(
            f"streams of the block reward need network version nv{first}, this network has "
            f"nv{machine.context.network.number}: plan an upgrade to it, or omit the streams"
        )
    timelock, authority = fields["swa_timelock_epochs"], Address.from_bytes(fields["swa_actor"])
    authority_id = machine.state_tree.lookup_id(settings.authority)
    if timelock != settings.timelock or authority_id is None or Address.id(ActorID(authority_id)) != authority:
        raise InvalidInput(
            f"the network's streams are governed by {authority} with a timelock of {timelock} epochs, not "
            f"by {settings.authority} with {settings.timelock} epochs: omit the streams, or name another folder"
        )


def describe_streams(reward: Any, read: Callable[[Cid], Any], epoch: int) -> str:
    """Return a description of a reward actor's streams at an epoch; `read` decodes the block of a CID.

    Weights in per cent of the reward. Raises InvalidInput for a state with an unknown layout.
    """
    fields = stream_fields(reward)
    if fields is None and _read(_LAYOUT_BEFORE, reward) is None:
        raise InvalidInput("the state of the reward actor (f02) has an unknown layout")
    if fields is None:
        return "none: miners receive the whole reward"
    streams, tombstones, pending = read(unlink(fields["streams_root"]))
    words = [_describe_stream(stream, epoch) for stream in streams]
    rest = DENOM - sum(weight_at(weight, epoch) for _, weight, _ in streams)
    words += [f"{rest / _PERCENT:.4g} % is burnt"] if rest > 0 else []
    words += [f"{len(tombstones)} removed with unclaimed shares"] if tombstones else []
    words += [f"{len(pending)} pending writes"] if pending else []
    authority = Address.from_bytes(fields["swa_actor"])
    return f"{', '.join(words)}; governed by {authority}, timelock {fields['swa_timelock_epochs']} epochs"


def _describe_stream(stream: list[Any], epoch: int) -> str:
    number, weight, distribution = stream
    share = f"{number}: {weight_at(weight, epoch) / _PERCENT:.4g} %"
    if distribution is None:
        return f"{share} to miners"
    writer, shares, *_ = distribution
    recipients = f"{len(shares)} recipient{'' if len(shares) == 1 else 's'}"
    return f"{share} to {recipients} (writer {Address.from_bytes(writer)})"


def weight_at(record: list[int], epoch: int) -> int:
    """Return a stream's weight at an epoch in parts of 10^18; it moves by its slope within its bounds (FIP-0118)."""
    start, slope, since, floor, cap = record
    return min(max(start + slope * (epoch - since), floor), cap)


def _reward(machine: Hypervisor) -> Any:
    state = machine.state_tree.get_actor(REWARD_ACTOR)
    return None if state is None else get_object(machine.store, state.head)


def _read(layout: str, state: Any) -> dict[str, Any] | None:
    """Return the fields of a state by name; None for a state of another layout."""
    from bridge.actors.schemas import actor_schema  # a network of another version never needs the schemas
    from store.schema.types import SchemaError

    try:
        fields: dict[str, Any] = actor_schema("reward").read(layout, state)
    except SchemaError:
        return None
    return fields
