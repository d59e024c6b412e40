"""Filecoin's methods about the pledge of sectors and the collateral of deals. Rules: Lotus node/impl/full/state.go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from hypervisor.integers import decode_bigint
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.proofs.inputs import sector_size
from hypervisor.types import ATTO_PER_FIL, MARKET_ACTOR, POWER_ACTOR, REWARD_ACTOR, TokenAmount
from localnet.chain.supply import supply_of
from localnet.miners.pledge import Conditions, Estimate, initial_pledge, pre_commit_deposit, sector_power
from localnet.rpc.actor_states import state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.network import minimum_power
from localnet.rpc.filecoin.state import actor_of, id_of, machine_at
from localnet.rpc.lotus_shapes import address_json
from localnet.rpc.lotus_values import HEAD, TipsetKey, epoch, filecoin_address, found_tipset, tipset, unsigned
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import boolean, field, fields, list_of
from store.codec import unlink
from store.trees.amt import MAX_INDEX, Amt

_DEPOSITS_SINCE: Final = 27
"""Network version that introduced the deposit for a miner's creation."""
_MAX_DEALS: Final = 10_000
_MAX_QUALITY: Final = 10
_TOTAL_SUPPLY: Final = TokenAmount(2_000_000_000 * ATTO_PER_FIL)
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


@dataclass(frozen=True, slots=True)
class PlannedSector:
    """The fields of Lotus' SectorPreCommitInfo that determine deposit and pledge; `size` is in bytes."""

    size: int
    deals: tuple[int, ...]
    expiration: int


def planned_sector(value: Any) -> PlannedSector:
    """Read a SectorPreCommitInfo."""
    request = fields(value, "sector")
    proof = field(request, "SealProof", unsigned) or 0
    size = sector_size(proof)
    if size is None:
        raise invalid_params(f"SealProof: {proof} is not a seal proof: expected 0 to 19")
    deals = field(request, "DealIDs", list_of(unsigned, _MAX_DEALS)) or ()
    return PlannedSector(size, tuple(deals), field(request, "Expiration", epoch) or 0)


def state_pre_commit_deposit(node: Node, miner: Address, sector: PlannedSector, key: TipsetKey = HEAD) -> str:
    """Return 110 % of the deposit for the commitment of a sector in attoFIL, as for one whose data is all verified."""
    deposit = pre_commit_deposit(_conditions(node, key), sector.size * _MAX_QUALITY)
    return str(deposit * _MARGIN[0] // _MARGIN[1])


def state_pledge_collateral(node: Node, miner: Address, sector: PlannedSector, key: TipsetKey = HEAD) -> str:
    """Return 110 % of a sector's initial pledge in attoFIL. Its verified deals have tenfold quality."""
    height = found_tipset(node.network, key).height
    duration = sector.expiration - height
    if duration <= 0:
        raise RpcError(LOTUS_ERROR, f"sector expiration {sector.expiration} must be after the tipset's height {height}")
    verified = _verified_bytes(machine_at(node, key), miner, sector, height)
    pledge = initial_pledge(_conditions(node, key), sector_power(sector.size, duration, verified))
    return str(pledge * _MARGIN[0] // _MARGIN[1])


def state_collateral_bounds(node: Node, size: int, verified: bool, key: TipsetKey = HEAD) -> dict[str, str]:
    """Return the bounds of a provider's collateral for a deal of `size` bytes in attoFIL, the lower one as 110 %.

    The lower bound is the deal's share of the network's power in a hundredth of the circulating supply.
    """
    machine, conditions = machine_at(node, key), _conditions(node, key)
    power = state_fields(machine, actor_of(machine, Address.id(POWER_ACTOR)))
    whole = max(decode_bigint(power["total_raw_byte_power"]), conditions.baseline, size)
    lowest = conditions.supply * size // (100 * whole) if whole else 0
    return {"Min": str(lowest * _MARGIN[0] // _MARGIN[1]), "Max": str(_TOTAL_SUPPLY)}


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


def _verified_bytes(machine: Hypervisor, miner: Address, sector: PlannedSector, height: int) -> int:
    """Return the size of a sector's verified deals. Raises RpcError 1 for deals that the sector cannot activate."""
    market = state_fields(machine, actor_of(machine, Address.id(MARKET_ACTOR)))
    proposals, schema = Amt(machine.store, unlink(market["proposals"])), actor_schema("storagemarket")
    provider, verified = Address.id(id_of(machine, miner)), 0
    for number in sector.deals:
        found = proposals.get(number) if number <= MAX_INDEX else None
        if found is None:
            raise RpcError(LOTUS_ERROR, f"no such deal {number}")
        deal = schema.read("DealProposal", found)
        own = Address.from_bytes(deal["provider"])
        for wrong, text in (
            (sector.deals.count(number) > 1, f"deal ID {number} present multiple times"),
            (own != provider, f"proposal has provider {address_json(own)}, must be {address_json(provider)}"),
            (height > deal["start_epoch"], f"proposal start epoch {deal['start_epoch']} has already elapsed"),
            (deal["end_epoch"] > sector.expiration, f"proposal expiration {deal['end_epoch']} exceeds the sector's"),
        ):
            if wrong:
                raise RpcError(LOTUS_ERROR, f"cannot activate deal {number}: {text}")
        verified += deal["piece_size"] if deal["verified_deal"] else 0
    return verified


def _estimate(fields: Any) -> Estimate:
    position, velocity = fields.values() if isinstance(fields, dict) else fields
    return decode_bigint(position), decode_bigint(velocity)


METHODS = (
    Method(
        "Filecoin.StateMinerPreCommitDepositForPower",
        (filecoin_address, planned_sector, optional(tipset)),
        state_pre_commit_deposit,
    ),
    Method(
        "Filecoin.StateMinerInitialPledgeCollateral",
        (filecoin_address, planned_sector, optional(tipset)),
        state_pledge_collateral,
    ),
    Method(
        "Filecoin.StateDealProviderCollateralBounds", (unsigned, boolean, optional(tipset)), state_collateral_bounds
    ),
    Method("Filecoin.StateMinerCreationDeposit", (optional(tipset),), state_creation_deposit),
    Method(
        "Filecoin.StateMinerInitialPledgeForSector",
        (epoch, unsigned, unsigned, optional(tipset)),
        state_initial_pledge,
    ),
)
