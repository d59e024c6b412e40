"""Filecoin methods for block producers: facts about a miner's next block, and a signed header of it.

A header is not added to the chain: this network's own blocks have no proofs and no signatures, and their tickets follow
from the height. Two headers of one epoch prove a consensus fault (`ReportConsensusFault` of the miner).

Sources: lotus chain/stmgr/actors.go and node/impl/full (`MinerGetBaseInfo`, `MinerCreateBlock`), Forest
`rpc/methods/miner.rs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.integers import decode_bigint, encode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import aggregate_bls, sign_bls
from hypervisor.proofs.consensus_faults import NoFault, worker_key_at_lookback
from hypervisor.types import ChainEpoch
from localnet.accounts import BLS_ACCOUNT, BLS_SECRET
from localnet.ledger.blocks import beacon_entry, put_messages
from localnet.ledger.records import Tipset
from localnet.miners.mining import lookback_tipset, winning_post_seed, winning_sector
from localnet.miners.sectors import active_sectors, sector_info
from localnet.rpc.actor_states import read_linked, state_fields
from localnet.rpc.errors import LOTUS_ERROR, RpcError, invalid_params
from localnet.rpc.filecoin.state import id_of, machine_at, state_account_key
from localnet.rpc.filecoin_miners import claimed_power, has_min_power, miner_of
from localnet.rpc.lotus_shapes import bytes_json, cid_json, header_fields_json
from localnet.rpc.lotus_values import (
    TipsetKey,
    base64_bytes,
    epoch,
    filecoin_address,
    found_tipset,
    signed_message,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method
from localnet.rpc.node import NodeReader
from localnet.rpc.values import Reader, field, fields, list_of, required_field
from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore
from store.codec import encode, link, unlink

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
    actor = miner_of(machine, miner)
    number = id_of(machine, miner)
    if height <= base.height:
        raise invalid_params(f"epoch {height} is not after the tipset's, {base.height}")
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
    Method("Filecoin.MinerGetBaseInfo", (filecoin_address, epoch, parent_key), get_base_info, reads=True),
    Method("Filecoin.MinerCreateBlock", (block_template,), create_block, reads=True),
)
