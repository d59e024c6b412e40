"""Methods about the sectors of miners and their pledge.

Filecoin methods about the sectors of miners. Shapes: lotus api/types.go and go-bitfield; Forest `rpc/types`.

A set of sectors is a list of alternating run lengths; the first run is of numbers that are not in the set.

Filecoin's methods about the pledge of sectors and the collateral of deals. Rules: Lotus node/impl/full/state.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.proofs.verifier import sector_size
from hypervisor.types import (
    ATTO_PER_FIL,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    TokenAmount,
    decode_bigint,
    encode_uleb128,
)
from hypervisor.versions.network_versions import LATEST
from localnet.chain.supply import supply_of
from localnet.miners import sectors
from localnet.miners.sectors import Conditions, Estimate, Partition, initial_pledge, pre_commit_deposit, sector_power
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.miners import miner_of
from localnet.rpc.filecoin.network import minimum_power
from localnet.rpc.filecoin.state import actor_of, id_of, linked_json, machine_at, state_fields
from localnet.rpc.lotus_types import go_type, to_json
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    address_json,
    epoch,
    filecoin_address,
    found_tipset,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import boolean, field, fields, list_of
from store.blockstore import get_object
from store.codec import unlink
from store.trees.amt import MAX_INDEX, Amt
from store.trees.bitfield import BitfieldError, decode, positions, runs_of
from store.trees.hamt import Hamt

_MAX_RUNS: Final = 10_000
_MAX_SECTOR: Final = 1 << 63
_DEADLINES: Final = 48


def runs(value: Any) -> list[int]:
    """Read the run lengths of a set."""
    lengths: list[int] = list_of(unsigned, _MAX_RUNS)(value)
    return lengths


def miner_sectors(
    node: NodeReader, miner: Address, wanted: list[int] | None = None, key: TipsetKey = HEAD
) -> list[dict[str, Any]]:
    """Return the information of a miner's sectors, or of those in a set."""
    machine, state = _state(node, miner, key)
    if wanted is None:
        return _infos(machine, state)
    try:
        chosen = positions(wanted, _MAX_SECTOR) if sum(wanted[1::2]) <= _MAX_RUNS else None
    except BitfieldError as error:
        raise invalid_params(f"the set of sectors: {error}") from None
    if chosen is None:
        raise invalid_params(f"a set of more than {_MAX_RUNS} sectors")
    found = _infos(machine, state, chosen)
    if missing := set(chosen) - {info["SectorNumber"] for info in found}:
        raise RpcError(LOTUS_ERROR, f"failed to load sectors: {miner} has no sector {min(missing)}")
    return found


def active_sectors(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the information of a miner's active sectors: live, proven and not faulty."""
    machine, state = _state(node, miner, key)
    return _infos(machine, state, sectors.active_sectors(machine.store, state))


def sector_info(node: NodeReader, miner: Address, number: int, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return the information of a sector; null if there is none."""
    machine, state = _state(node, miner, key)
    found = sectors.sector_info(machine.store, state, number)
    return None if found is None else _info_json(found)


def pre_commit_info(node: NodeReader, miner: Address, number: int, key: TipsetKey = HEAD) -> dict[str, Any] | None:
    """Return the information of a sector that is committed and not proven; null if there is none."""
    machine, state = _state(node, miner, key)
    found = Hamt(machine.store, unlink(state["pre_committed_sectors"])).get(encode_uleb128(number))
    return None if found is None else linked_json(machine, "storageminer", "SectorPreCommitOnChainInfo", found)


def sector_count(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> dict[str, int]:
    """Return the numbers of a miner's live, active and faulty sectors."""
    found = _partitions(node, miner, key)
    return {
        "Live": sum(len(each.live) for each in found),
        "Active": sum(len(each.active) for each in found),
        "Faulty": sum(len(each.faulty) for each in found),
    }


def faults(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> list[int]:
    """Return the set of a miner's faulty sectors."""
    return _set_json(number for each in _partitions(node, miner, key) for number in each.faulty)


def recoveries(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> list[int]:
    """Return the set of a miner's faulty sectors that are declared as recovered."""
    return _set_json(number for each in _partitions(node, miner, key) for number in each.recovering)


def miner_deadlines(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return a miner's deadlines: the partitions proven in the current window, disputable proofs, and the daily fee."""
    machine, state = _state(node, miner, key)
    return [
        {
            "PostSubmissions": _set_json(sectors.posted_partitions(each)),
            "DisputableProofCount": sum(
                1 for _ in Amt(machine.store, unlink(each["optimistic_post_submissions_snapshot"])).items()
            ),
            "DailyFee": str(decode_bigint(each["daily_fee"])),
        }
        for each in sectors.deadlines(machine.store, state)
    ]


def miner_partitions(
    node: NodeReader, miner: Address, deadline: int, key: TipsetKey = HEAD
) -> list[dict[str, Any]] | None:
    """Return the sets of sectors of the partitions of a deadline; null if it has none."""
    if deadline >= _DEADLINES:
        raise RpcError(LOTUS_ERROR, f"invalid deadline index {deadline} of {_DEADLINES} deadlines")
    return [
        {
            "AllSectors": _set_json(each.all),
            "FaultySectors": _set_json(each.faulty),
            "RecoveringSectors": _set_json(each.recovering),
            "LiveSectors": _set_json(each.live),
            "ActiveSectors": _set_json(each.active),
        }
        for each in _partitions(node, miner, key, deadline)
    ] or None


def sector_partition(node: NodeReader, miner: Address, number: int, key: TipsetKey = HEAD) -> dict[str, int]:
    """Return the deadline and the partition of a sector. Error 1 if it is in none."""
    for each in _partitions(node, miner, key):
        if number in each.all:
            return {"Deadline": each.deadline, "Partition": each.index}
    raise RpcError(LOTUS_ERROR, f"sector {number} not due at any deadline")


def sector_expiration(node: NodeReader, miner: Address, number: int, key: TipsetKey = HEAD) -> dict[str, int]:
    """Return the epochs at which a sector expires on time or, if it is faulty, early; 0 for the other one.

    Error 1 if the sector is terminated or in no partition.
    """
    machine, state = _state(node, miner, key)
    on_time, early = sectors.sector_expiration(machine.store, state, number)
    if on_time is None and early is None:
        raise RpcError(LOTUS_ERROR, f"failed to find sector {number}")
    return {"OnTime": on_time or 0, "Early": early or 0}


def allocated(node: NodeReader, miner: Address, key: TipsetKey = HEAD) -> list[int]:
    """Return the set of sector numbers that a miner has used."""
    return _allocated(node, miner, key) or [0]


def is_allocated(node: NodeReader, miner: Address, number: int, key: TipsetKey = HEAD) -> bool:
    """Return true if a miner has used a sector number."""
    start = 0
    for index, length in enumerate(_allocated(node, miner, key)):
        start += length
        if number < start:
            return bool(index % 2)
    return False


# --- reading ----------------------------------------------------------------------------------------------------------


def _state(node: NodeReader, miner: Address, key: TipsetKey) -> tuple[Hypervisor, dict[str, Any]]:
    machine = machine_at(node, key)
    return machine, state_fields(machine, miner_of(machine, miner))


def _partitions(node: NodeReader, miner: Address, key: TipsetKey, deadline: int | None = None) -> list[Partition]:
    machine, state = _state(node, miner, key)
    return list(sectors.partitions(machine.store, state, deadline))


def _allocated(node: NodeReader, miner: Address, key: TipsetKey) -> list[int]:
    """Return the run lengths of the used numbers."""
    machine, state = _state(node, miner, key)
    try:
        return decode(get_object(machine.store, unlink(state["allocated_sectors"])))
    except BitfieldError as error:
        raise RpcError(LOTUS_ERROR, f"the allocated sectors cannot be read: {error}") from None


def _infos(machine: Hypervisor, state: dict[str, Any], numbers: Iterable[int] | None = None) -> list[dict[str, Any]]:
    return [_info_json(info) for info in sectors.sector_infos(machine.store, state, numbers)]


def _info_json(info: dict[str, Any]) -> Any:
    term = go_type(LATEST.actors, "storageminer", "SectorOnChainInfo")  # of the newest version, as in Lotus
    assert term is not None
    return to_json(term, list(info.values()))


def _set_json(numbers: Iterable[int]) -> list[int]:
    return runs_of(sorted(numbers)) or [0]


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
        height = found_tipset(node.network, key).height
        ramp = height - power["ramp_start_epoch"], power["ramp_duration_epochs"]
    return Conditions(
        reward=_estimate(reward["this_epoch_reward_smoothed"]),
        power=_estimate(power["this_epoch_qa_power_smoothed"]),
        baseline=decode_bigint(reward["this_epoch_baseline_power"]),
        supply=supply_of(machine.state_tree, node.network.chain.record.vested).circulating,
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
        "Filecoin.StateMinerSectors", (filecoin_address, optional(runs), optional(tipset)), miner_sectors, reads=True
    ),
    Method("Filecoin.StateMinerActiveSectors", (filecoin_address, optional(tipset)), active_sectors, reads=True),
    Method("Filecoin.StateSectorGetInfo", (filecoin_address, unsigned, optional(tipset)), sector_info, reads=True),
    Method(
        "Filecoin.StateSectorPreCommitInfo", (filecoin_address, unsigned, optional(tipset)), pre_commit_info, reads=True
    ),
    Method("Filecoin.StateMinerSectorCount", (filecoin_address, optional(tipset)), sector_count, reads=True),
    Method("Filecoin.StateMinerFaults", (filecoin_address, optional(tipset)), faults, reads=True),
    Method("Filecoin.StateMinerRecoveries", (filecoin_address, optional(tipset)), recoveries, reads=True),
    Method("Filecoin.StateMinerDeadlines", (filecoin_address, optional(tipset)), miner_deadlines, reads=True),
    Method(
        "Filecoin.StateMinerPartitions", (filecoin_address, unsigned, optional(tipset)), miner_partitions, reads=True
    ),
    Method(
        "Filecoin.StateSectorPartition", (filecoin_address, unsigned, optional(tipset)), sector_partition, reads=True
    ),
    Method(
        "Filecoin.StateSectorExpiration", (filecoin_address, unsigned, optional(tipset)), sector_expiration, reads=True
    ),
    Method("Filecoin.StateMinerAllocated", (filecoin_address, optional(tipset)), allocated, reads=True),
    Method(
        "Filecoin.StateMinerSectorAllocated", (filecoin_address, unsigned, optional(tipset)), is_allocated, reads=True
    ),
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
