"""Filecoin methods about storage miners, market balances and DataCap, and for block producers.

Results are decoded from actor states, or returned by calls of the actors. Layouts: the IPLD schemas of the official
actors. Shapes: lotus api/types.go.

A block producer gets the facts about a miner's next block, and a signed header of it. A header is not added to the
chain: this network's own blocks have no proofs and no signatures, and their tickets follow from the height. Two headers
of one epoch prove a consensus fault (`ReportConsensusFault` of the miner). Sources: lotus chain/stmgr/actors.go and
node/impl/full (`MinerGetBaseInfo`, `MinerCreateBlock`), Forest `rpc/methods/miner.rs`.
"""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Final

from multiformats import multibase

from bridge.filecoin.method_numbers import method_number
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import aggregate_bls, sign_bls
from hypervisor.proofs.consensus_faults import NoFault, worker_key_at_lookback
from hypervisor.state.state_tree import ActorState
from hypervisor.types import (
    DATACAP_ACTOR,
    POWER_ACTOR,
    SYSTEM_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ChainEpoch,
    decode_bigint,
    encode_bigint,
)
from localnet.accounts import BLS_ACCOUNT, BLS_SECRET
from localnet.ledger.blocks import beacon_entry, put_messages
from localnet.ledger.records import Tipset
from localnet.miners.policy import DATACAP_PER_BYTE, DEADLINE, PROVING_PERIOD
from localnet.miners.sectors import active_sectors, lookback_tipset, sector_info, winning_post_seed, winning_sector
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.state import (
    actor_of,
    id_of,
    linked_json,
    machine_at,
    read_linked,
    state_account_key,
    state_fields,
)
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    address_json,
    base64_bytes,
    bytes_json,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    header_fields_json,
    signed_message,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import Reader, field, fields, list_of, required_field
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import get_object
from store.cid import VarintError, read_uvarint
from store.codec import decode, encode, link, unlink
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
    info = get_object(machine.store, unlink(state_fields(machine, actor)["info"]))
    found = linked_json(machine, "storageminer", "MinerInfo", info)
    change = found.pop("PendingWorkerKey") or {"NewWorker": "<empty>", "EffectiveAt": -1}
    return {
        **found, "NewWorker": change["NewWorker"], "WorkerChangeEpoch": change["EffectiveAt"],
        "PeerId": _peer_id(b64decode(found["PeerId"] or "")),
    }  # fmt: skip


def state_miner_power(node: Node, miner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the claimed power of a miner and of the network, in bytes; that of any other address is 0."""
    machine = machine_at(node, key)
    number = Address.id(machine.state_tree.lookup_id(miner) or 0)
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
    now = found_tipset(node.network, key).height
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


def _peer_id(peer: bytes) -> str | None:
    """Return the text of a libp2p peer ID, which is a multihash; None for other bytes."""
    try:
        _, start = read_uvarint(peer)
        length, start = read_uvarint(peer, start)
    except VarintError:
        return None
    return multibase.encode(peer, "base58btc")[1:] if len(peer) == start + length else None


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


_MAX_ITEMS: Final = 8_192
_SIGNATURE: Final = 13
"""Index of the signature in a header."""


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """The parts of a block that its producer chooses; `Filecoin.MinerCreateBlock` adds the others."""

    miner: Address
    parents: TipsetKey
    ticket: bytes
    election: list[Any]
    beacon: list[list[Any]]
    messages: list[SignedMessage]
    epoch: int
    timestamp: int
    proofs: list[list[Any]]


def parent_key(value: Any) -> TipsetKey:
    """Read a tipset key that names at least one block."""
    key = tipset(value)
    if not key.blocks:
        raise invalid_params("NewTipSet called with zero length array of blocks")
    return key


def block_template(value: Any) -> BlockTemplate:
    """Read a block template."""
    request = fields(value, "block template")

    return BlockTemplate(
        miner=required_field(request, "Miner", filecoin_address),
        parents=required_field(request, "Parents", parent_key),
        ticket=required_field(request, "Ticket", _pair((("VRFProof", base64_bytes),)))[0],
        election=required_field(request, "Eproof", _pair((("WinCount", epoch), ("VRFProof", base64_bytes)))),
        beacon=field(request, "BeaconValues", list_of(_pair((("Round", unsigned), ("Data", base64_bytes))), _MAX_ITEMS))
        or [],
        messages=field(request, "Messages", list_of(signed_message, _MAX_ITEMS)) or [],
        epoch=required_field(request, "Epoch", epoch),
        timestamp=required_field(request, "Timestamp", unsigned),
        proofs=field(
            request,
            "WinningPoStProof",
            list_of(_pair((("PoStProof", epoch), ("ProofBytes", base64_bytes))), _MAX_ITEMS),
        )
        or [],
    )


def _pair(names: tuple[tuple[str, Reader], ...]) -> Reader:
    """Return a reader of an object with these fields, as a list of their values."""

    def reader(value: Any) -> list[Any]:
        request = fields(value, " and ".join(name for name, _ in names))
        return [required_field(request, name, read) for name, read in names]

    return reader


def get_base_info(node: NodeReader, miner: Address, height: int, key: TipsetKey) -> dict[str, Any] | None:
    """Return the facts for a miner's block at an epoch: power, winning sector, worker, beacon entries, eligibility.

    Null if the miner had no active sector 900 epochs before the block, where its power is taken from.
    """
    base = found_tipset(node.network, key)
    machine = machine_at(node, key)
    actor = actor_of(machine, miner)
    number = id_of(machine, miner)
    past = _lookback(node, base, height)
    earlier = machine_at(node, TipsetKey((past.block,)))
    if earlier.state_tree.get_actor(number) is None:
        return None
    old_state = state_fields(earlier, miner_of(earlier, Address.id(number)))
    sectors = active_sectors(earlier.store, old_state)
    if not sectors:
        return None
    seed = winning_post_seed(Address.id(number).to_bytes(), ChainEpoch(height))
    chosen = sector_info(earlier.store, old_state, sectors[winning_sector(number, seed, len(sectors))])
    assert chosen is not None, "an active sector has information"
    own, total = claimed_power(earlier, Address.id(number))
    claim, _ = claimed_power(machine, Address.id(number))
    state = state_fields(machine, actor)
    info = read_linked(machine, actor, "MinerInfo", state["info"])
    eligible = (
        has_min_power(earlier, Address.id(number))
        and claim[1] > 0
        and decode_bigint(state["fee_debt"]) == 0
        and base.height > info["consensus_fault_elapsed"]
    )
    return {
        "MinerPower": str(own[1]),
        "NetworkPower": str(total[1]),
        "Sectors": [_sector_json(chosen)],
        "WorkerKey": state_account_key(node, Address.from_bytes(info["worker"]), key),
        "SectorSize": info["sector_size"],
        "PrevBeaconEntry": _beacon_json(base.height),
        "BeaconEntries": [_beacon_json(height)],
        "EligibleForMining": eligible,
    }


def _lookback(node: NodeReader, base: Tipset, height: int) -> Tipset:
    try:
        return lookback_tipset(node.network.chain.index, base, height)
    except InvalidInput as error:
        raise RpcError(LOTUS_ERROR, str(error)) from None


def _sector_json(info: dict[str, Any]) -> dict[str, Any]:
    key = info["sector_key_cid"]
    return {
        "SealProof": info["seal_proof"],
        "SectorNumber": info["sector_number"],
        "SectorKey": None if key is None else cid_json(unlink(key)),
        "SealedCID": cid_json(unlink(info["sealed_cid"])),
    }


def _beacon_json(height: int) -> dict[str, Any]:
    return {"Round": height, "Data": bytes_json(beacon_entry(height))}


def create_block(node: NodeReader, template: BlockTemplate) -> dict[str, Any]:
    """Complete a block template and sign it with the key of the miner's worker; the chain does not change.

    Only the worker of this network's miners can sign.
    """
    parent = found_tipset(node.network, template.parents)
    worker = _worker(node, template, parent)
    if worker != BLS_ACCOUNT:
        raise RpcError(LOTUS_ERROR, f"failed to sign new block: signing using key '{worker}': key not found")
    parts: tuple[list[SignedMessage], list[SignedMessage]] = [], []
    for message in template.messages:
        parts[message.signature.type is not SignatureType.BLS].append(message)
    try:
        aggregate = aggregate_bls([message.signature.data for message in parts[0]])
    except ValueError as error:
        raise invalid_params(f"Messages: a BLS signature is malformed: {error}") from None
    header = [
        template.miner.to_bytes(), [template.ticket], template.election, template.beacon, template.proofs,
        [link(block) for block in template.parents.blocks], encode_bigint(parent.height), template.epoch,
        link(parent.state), link(parent.receipts),
        link(put_messages(BufferedStore(MemoryStore()), template.messages)),
        Signature(SignatureType.BLS, aggregate).to_bytes(), template.timestamp, None, 0,
        encode_bigint(parent.next_base_fee),
    ]  # fmt: skip
    header[_SIGNATURE] = Signature(SignatureType.BLS, sign_bls(BLS_SECRET, encode(header))).to_bytes()
    return {
        "Header": header_fields_json(header),
        "BlsMessages": [cid_json(message.cid()) for message in parts[0]],
        "SecpkMessages": [cid_json(message.cid()) for message in parts[1]],
    }


def _worker(node: NodeReader, template: BlockTemplate, parent: Tipset) -> Address:
    """Return the key of the miner's worker at the lookback. Raises RpcError 1."""
    past = _lookback(node, parent, template.epoch)
    machine = machine_at(node, template.parents)
    try:
        return worker_key_at_lookback(machine.store, past.state, machine.state_tree, template.miner)
    except NoFault as error:
        raise RpcError(LOTUS_ERROR, f"failed to load miner worker: {error}") from None


METHODS = (
    Method("Filecoin.StateListMiners", (optional(tipset),), state_list_miners),
    Method("Filecoin.StateMinerInfo", (filecoin_address, optional(tipset)), state_miner_info),
    Method("Filecoin.StateMinerPower", (filecoin_address, optional(tipset)), state_miner_power),
    Method("Filecoin.StateMinerAvailableBalance", (filecoin_address, optional(tipset)), state_miner_available_balance),
    Method("Filecoin.StateMinerProvingDeadline", (filecoin_address, optional(tipset)), state_miner_proving_deadline),
    Method("Filecoin.StateVerifiedClientStatus", (filecoin_address, optional(tipset)), state_verified_client),
    Method("Filecoin.StateVerifiedRegistryRootKey", (optional(tipset),), state_registry_root),
    Method("Filecoin.MinerGetBaseInfo", (filecoin_address, epoch, parent_key), get_base_info, reads=True),
    Method("Filecoin.MinerCreateBlock", (block_template,), create_block, reads=True),
)
