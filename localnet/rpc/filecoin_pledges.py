"""Filecoin's methods about the initial pledge of sectors. Rules: Lotus node/impl/full/state.go."""

from __future__ import annotations

from typing import Any, Final

from hypervisor.address import Address
from hypervisor.bigint import decode_bigint
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR
from localnet.chain.supply import supply_of
from localnet.miners.pledge import Conditions, Estimate, initial_pledge, sector_power
from localnet.rpc.actor_states import state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin_network import minimum_power
from localnet.rpc.filecoin_state import actor_of, machine_at
from localnet.rpc.lotus_values import HEAD, TipsetKey, epoch, tipset, unsigned
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node

_DEPOSITS_SINCE: Final = 27
"""Network version that introduced the deposit for a miner's creation."""
_MARGIN: Final = (110, 100)
"""Lotus adds a tenth, since the network may change before a message is executed."""


def state_initial_pledge(node: Node, duration: int, size: int, verified: int, key: TipsetKey = HEAD) -> str:
    """Return 110 % of a sector's initial pledge in attoFIL. `verified` are the bytes of its verified pieces.

    From network version 29 on, pass the whole size, since every new sector has tenfold quality.
    """
    for wrong, text in (
        (duration <= 0, "sector duration must greater than 0"),
        (size == 0, "sector size must be non-zero"),
        (verified > size, "verified deal size must be less than or equal to sector size"),
    ):
        if wrong:
            raise RpcError(LOTUS_ERROR, text)
    pledge = initial_pledge(_conditions(node, key), sector_power(size, duration, verified))
    return str(pledge * _MARGIN[0] // _MARGIN[1])


def state_creation_deposit(node: Node, key: TipsetKey = HEAD) -> str:
    """Return the deposit in attoFIL for the creation of a miner; 0 before network version 27 (FIP-0077).

    It is the pledge for a tenth of the minimum power for consensus.
    """
    machine = machine_at(node, key)
    if machine.context.network.number < _DEPOSITS_SINCE:
        return "0"
    return str(initial_pledge(_conditions(node, key), minimum_power(node, machine) // 10))


def _conditions(node: Node, key: TipsetKey) -> Conditions:
    machine = machine_at(node, key)
    reward, power = (state_fields(machine, actor_of(machine, Address.id(of))) for of in (REWARD_ACTOR, POWER_ACTOR))
    ramp = None  # added by actors v15
    if "ramp_start_epoch" in power:
        ramp = machine.context.epoch - power["ramp_start_epoch"], power["ramp_duration_epochs"]
    return Conditions(
        reward=_estimate(reward["this_epoch_reward_smoothed"]),
        power=_estimate(power["this_epoch_qa_power_smoothed"]),
        baseline=decode_bigint(reward["this_epoch_baseline_power"]),
        supply=supply_of(machine, node.network.chain.record.vested).circulating,
        ramp=ramp,
    )


def _estimate(fields: Any) -> Estimate:
    position, velocity = fields.values() if isinstance(fields, dict) else fields
    return decode_bigint(position), decode_bigint(velocity)


METHODS = (
    Method("Filecoin.StateMinerCreationDeposit", (optional(tipset),), state_creation_deposit),
    Method(
        "Filecoin.StateMinerInitialPledgeForSector",
        (epoch, unsigned, unsigned, optional(tipset)),
        state_initial_pledge,
    ),
)
