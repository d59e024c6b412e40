"""Filecoin methods about storage miners, market balances and DataCap.

Results are decoded from actor states, or returned by calls of the actors. Layouts: the IPLD schemas of the official
actors. Shapes: lotus api/types.go.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from bridge.filecoin.parameters import method_number
from hypervisor.integers import decode_bigint
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import DATACAP_ACTOR, MARKET_ACTOR, POWER_ACTOR, SYSTEM_ACTOR, VERIFIED_REGISTRY_ACTOR
from localnet.miners.policy import DATACAP_PER_BYTE, DEADLINE, PROVING_PERIOD
from localnet.rpc.actor_states import lotus_value, read_linked, state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin.state import actor_of, id_of, machine_at
from localnet.rpc.lotus_shapes import address_json
from localnet.rpc.lotus_values import HEAD, TipsetKey, filecoin_address, tipset
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from store.codec import decode, encode, unlink
from store.trees.hamt import Hamt

_BIT_WIDTH: Final = 5
_DEADLINES: Final = PROVING_PERIOD // DEADLINE
_LOOKBACK: Final = 20
_FAULT_CUTOFF: Final = 70


def state_list_miners(node: Node, key: TipsetKey = HEAD) -> list[str]:
    """Return the f0 addresses of all storage miners that claim power."""
    return [address_json(Address.from_bytes(owner)) for owner, _ in _claims(machine_at(node, key)).items()]


def state_miner_info(node: Node, miner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return a miner's owner, worker, control addresses, peer, sector size and beneficiary."""
    machine = machine_at(node, key)
    actor = miner_of(machine, miner)
    info = read_linked(machine, actor, "MinerInfo", state_fields(machine, actor)["info"])
    found = lotus_value(actor_schema("storageminer"), "MinerInfo", info)
    change = found["PendingWorkerKey"] or {"NewWorker": "<empty>", "EffectiveAt": -1}
    return {
        "Owner": found["Owner"],
        "Worker": found["Worker"],
        "NewWorker": change["NewWorker"],
        "ControlAddresses": found["ControlAddresses"],
        "WorkerChangeEpoch": change["EffectiveAt"],
        "PeerId": None,
        "Multiaddrs": found["MultiAddress"],
        "WindowPoStProofType": found["WindowPostProofType"],
        "SectorSize": found["SectorSize"],
        "WindowPoStPartitionSectors": found["WindowPostPartitionSectors"],
        "ConsensusFaultElapsed": found["ConsensusFaultElapsed"],
        "PendingOwnerAddress": found["PendingOwnerAddress"],
        "Beneficiary": found["Beneficiary"],
        "BeneficiaryTerm": found["BeneficiaryTerm"],
        "PendingBeneficiaryTerm": found["PendingBeneficiaryTerm"],
    }


def state_miner_power(node: Node, miner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the claimed power of a miner and of the network, in bytes."""
    machine = machine_at(node, key)
    number = Address.id(id_of(machine, miner))
    miner_of(machine, number)
    own, total = claimed_power(machine, number)
    return {"MinerPower": _power(*own), "TotalPower": _power(*total), "HasMinPower": has_min_power(machine, number)}


def has_min_power(machine: Hypervisor, miner: Address) -> bool:
    """Return True if the power of a miner, by its f0 address, meets the minimum for consensus.

    The power actor decides. With four or more miners above the minimum, a miner needs the minimum of the actor's
    policy; with fewer, any power.
    """
    if _claims(machine).get(miner.to_bytes()) is None:
        return False
    _, meets = _call_method(machine, POWER_ACTOR, "MinerRawPower", encode(miner.actor_id()))
    return bool(meets)


def power_claims(machine: Hypervisor) -> list[tuple[Address, int, int]]:
    """Return the miners with raw power that meets the minimum for consensus: f0 address, raw and adjusted power.

    Ascending by raw power. Eligibility grows with raw power, so a binary search asks the power actor about few miners.
    """
    found = [
        (Address.from_bytes(owner), decode_bigint(claim[1]), decode_bigint(claim[2]))
        for owner, claim in _claims(machine).items()
    ]
    found.sort(key=lambda claim: claim[1])
    return found[bisect_left(found, True, key=lambda claim: has_min_power(machine, claim[0])) :]


def claimed_power(machine: Hypervisor, miner: Address) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the raw and quality-adjusted power in bytes of a miner, by its f0 address, and of the network."""
    claim = _claims(machine).get(miner.to_bytes())
    power = state_fields(machine, actor_of(machine, Address.id(POWER_ACTOR)))
    own = (0, 0) if claim is None else (decode_bigint(claim[1]), decode_bigint(claim[2]))
    return own, (decode_bigint(power["total_raw_byte_power"]), decode_bigint(power["total_quality_adj_power"]))


def state_miner_available_balance(node: Node, miner: Address, key: TipsetKey = HEAD) -> str:
    """Return the attoFIL that a miner can withdraw: its balance less deposits, pledge, vesting funds and debts."""
    machine = machine_at(node, key)
    actor = miner_of(machine, miner)
    state = state_fields(machine, actor)
    bound = ("pre_commit_deposits", "locked_funds", "initial_pledge", "fee_debt")
    return str(actor.balance - sum(decode_bigint(state[name]) for name in bound))


def state_miner_proving_deadline(node: Node, miner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return a miner's current deadline, its window and its proving period, in epochs."""
    machine = machine_at(node, key)
    state = state_fields(machine, miner_of(machine, miner))
    now = machine.context.epoch
    start = state["proving_period_start"]
    start += (now - start) // PROVING_PERIOD * PROVING_PERIOD
    index = (now - start) // DEADLINE
    opening = start + index * DEADLINE
    return {
        "CurrentEpoch": now, "PeriodStart": start, "Index": index, "Open": opening, "Close": opening + DEADLINE,
        "Challenge": opening - _LOOKBACK, "FaultCutoff": opening - _FAULT_CUTOFF, "WPoStPeriodDeadlines": _DEADLINES,
        "WPoStProvingPeriod": PROVING_PERIOD, "WPoStChallengeWindow": DEADLINE, "WPoStChallengeLookback": _LOOKBACK,
        "FaultDeclarationCutoff": _FAULT_CUTOFF,
    }  # fmt: skip


def state_market_balance(node: Node, owner: Address, key: TipsetKey = HEAD) -> dict[str, str]:
    """Return an address's escrow for deals and its locked part, in attoFIL."""
    machine = machine_at(node, key)
    id_of(machine, owner)
    balance, locked = _call_method(machine, MARKET_ACTOR, "GetBalance", encode(owner.to_bytes()))
    return {"Escrow": str(decode_bigint(balance)), "Locked": str(decode_bigint(locked))}


def state_verified_client(node: Node, owner: Address, key: TipsetKey = HEAD) -> str | None:
    """Return the DataCap of a verified client in bytes; null if it has none."""
    machine = machine_at(node, key)
    id_of(machine, owner)
    units = decode_bigint(_call_method(machine, DATACAP_ACTOR, "Balance", encode(owner.to_bytes())))
    return str(units // DATACAP_PER_BYTE) if units else None


def state_registry_root(node: Node, key: TipsetKey = HEAD) -> str:
    """Return the root key of the verified registry."""
    machine = machine_at(node, key)
    state = state_fields(machine, actor_of(machine, Address.id(VERIFIED_REGISTRY_ACTOR)))
    return address_json(Address.from_bytes(state["root_key"]))


def miner_of(machine: Hypervisor, miner: Address) -> ActorState:
    """Return the state of a storage miner. Raises RpcError 1 for another actor, 11 for none."""
    actor = actor_of(machine, miner)
    if machine.manifest.name_of(actor.code) != "storageminer":
        raise RpcError(LOTUS_ERROR, f"failed to load miner actor state: {miner} is not a storage miner")
    return actor


def _claims(machine: Hypervisor) -> Hamt:
    link = state_fields(machine, actor_of(machine, Address.id(POWER_ACTOR)))["claims"]
    return Hamt(machine.store, unlink(link), _BIT_WIDTH)


def _power(raw: int, quality: int) -> dict[str, str]:
    return {"RawBytePower": str(raw), "QualityAdjPower": str(quality)}


def _call_method(machine: Hypervisor, actor: int, method: str, params: bytes) -> Any:
    """Return the result of an actor's method for the system actor. Raises RpcError 1 on failure."""
    request = Message(Address.id(actor), Address.id(SYSTEM_ACTOR), method=method_number(method), params=params)
    result = machine.call(request)
    if result.exit_code:
        raise RpcError(LOTUS_ERROR, f"{method} of f0{actor} exited with {result.exit_code}: {result.message}")
    return decode(result.return_data)


METHODS = (
    Method("Filecoin.StateListMiners", (optional(tipset),), state_list_miners),
    Method("Filecoin.StateMinerInfo", (filecoin_address, optional(tipset)), state_miner_info),
    Method("Filecoin.StateMinerPower", (filecoin_address, optional(tipset)), state_miner_power),
    Method("Filecoin.StateMinerAvailableBalance", (filecoin_address, optional(tipset)), state_miner_available_balance),
    Method("Filecoin.StateMinerProvingDeadline", (filecoin_address, optional(tipset)), state_miner_proving_deadline),
    Method("Filecoin.StateMarketBalance", (filecoin_address, optional(tipset)), state_market_balance),
    Method("Filecoin.StateVerifiedClientStatus", (filecoin_address, optional(tipset)), state_verified_client),
    Method("Filecoin.StateVerifiedRegistryRootKey", (optional(tipset),), state_registry_root),
)
