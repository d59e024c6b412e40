"""Filecoin methods about the sectors of miners. Shapes: lotus api/types.go and go-bitfield; Forest `rpc/types`.

A set of sectors is a list of alternating run lengths; the first run is of numbers that are not in the set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hypervisor.integers import decode_bigint, encode_uleb128
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from localnet.miners import sectors
from localnet.miners.sectors import Partition
from localnet.rpc.actor_states import state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.state import machine_at
from localnet.rpc.filecoin_miners import miner_of
from localnet.rpc.lotus_shapes import cid_json
from localnet.rpc.lotus_values import HEAD, TipsetKey, filecoin_address, tipset, unsigned
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.values import list_of
from store.blockstore import get_object
from store.codec import unlink
from store.trees.amt import Amt
from store.trees.bitfield import BitfieldError, decode, positions, runs_of
from store.trees.hamt import Hamt

_MAX_RUNS: Final = 10_000
_MAX_SECTOR: Final = 1 << 63
_DEADLINES: Final = 48
_NAMES: Final = {
    "sector_number": "SectorNumber", "seal_proof": "SealProof", "activation": "Activation",
    "expiration": "Expiration", "power_base_epoch": "PowerBaseEpoch", "flags": "Flags",
}  # fmt: skip
_AMOUNTS: Final = {
    "deal_weight": "DealWeight", "verified_deal_weight": "VerifiedDealWeight", "initial_pledge": "InitialPledge",
    "expected_day_reward": "ExpectedDayReward", "expected_storage_pledge": "ExpectedStoragePledge",
    "replaced_day_reward": "ReplacedDayReward", "daily_fee": "DailyFee",
}  # fmt: skip


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
    return _infos(machine, state, chosen)


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
    if found is None:
        return None
    (seal_proof, sector, sealed, seal_epoch, deals, expiration, unsealed), deposit, epoch = found
    return {
        "Info": {
            "SealProof": seal_proof,
            "SectorNumber": sector,
            "SealedCID": cid_json(unlink(sealed)),
            "SealRandEpoch": seal_epoch,
            "DealIDs": deals or None,
            "Expiration": expiration,
            "UnsealedCid": None if unsealed is None else cid_json(unlink(unsealed)),
        },
        "PreCommitDeposit": str(decode_bigint(deposit)),
        "PreCommitEpoch": epoch,
    }


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


def miner_partitions(node: NodeReader, miner: Address, deadline: int, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the sets of sectors of the partitions of a deadline."""
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
    ]


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


def _info_json(info: dict[str, Any]) -> dict[str, Any]:
    key = info["sector_key_cid"]
    return {
        **{written: info[name] for name, written in _NAMES.items()},
        "SealedCID": cid_json(unlink(info["sealed_cid"])),
        "DeprecatedDealIDs": info["deprecated_deal_ids"] or None,
        **{written: _amount(info[name]) for name, written in _AMOUNTS.items()},
        "SectorKeyCID": None if key is None else cid_json(unlink(key)),
    }


def _amount(value: bytes | None) -> str | None:
    return None if value is None else str(decode_bigint(value))


def _set_json(numbers: Iterable[int]) -> list[int]:
    return runs_of(sorted(numbers)) or [0]


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
)
