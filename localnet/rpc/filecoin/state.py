"""Filecoin methods about the state: actors, addresses, the network, randomness.

`Filecoin.State*` methods of a tipset return the state after it. Here a tipset is executed when it is built; on the
network it is executed with the next one.

Shapes: lotus api/api_full.go.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.context import ExternError
from hypervisor.kernel.chain import draw
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, ChainEpoch
from localnet.chain.supply import Supply, supply_of
from localnet.ledger.blocks import beacon_entry
from localnet.rpc.actor_states import go_state
from localnet.rpc.errors import ACTOR_NOT_FOUND, LOTUS_ERROR, RpcError
from localnet.rpc.lotus_shapes import actor_json, address_json, bytes_json, cid_json
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    base64_bytes,
    epoch,
    filecoin_address,
    found_tipset,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from store.blockstore import get_object
from store.trees.hamt import Hamt

_BIT_WIDTH: Final = 5
_KEYS: Final = (Protocol.SECP256K1, Protocol.BLS, Protocol.DELEGATED)


def state_get_actor(node: Node, owner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the actor at an address: code, head, nonce, balance, delegated address. Error 11 if there is none."""
    return actor_json(actor_of(machine_at(node, key), owner))


def state_read_state(node: Node, owner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return an actor's balance, code and state; the state's fields are those of its IPLD schema, named as in Go."""
    machine = machine_at(node, key)
    actor = actor_of(machine, owner)
    state = go_state(machine, actor)
    return {"Balance": str(actor.balance), "Code": cid_json(actor.code), "State": state}


def state_account_key(node: NodeReader, owner: Address, key: TipsetKey = HEAD) -> str:
    """Return the key address of an account: f1, f3, or the f410 of an Ethereum account."""
    if owner.protocol in _KEYS:
        return address_json(owner)
    machine = machine_at(node, key)
    actor = actor_of(machine, owner)
    if actor.delegated_address is not None:
        return address_json(actor.delegated_address)
    if machine.manifest.name_of(actor.code) != "account":
        raise RpcError(LOTUS_ERROR, f"failed to get account actor state for {owner}: it is not an account")
    return address_json(Address.from_bytes(get_object(machine.store, actor.head)[0]))


def state_lookup_id(node: Node, owner: Address, key: TipsetKey = HEAD) -> str:
    """Return the f0 address of an actor. Error 11 if no actor has the address."""
    return address_json(Address.id(id_of(machine_at(node, key), owner)))


def state_lookup_robust_address(node: Node, owner: Address, key: TipsetKey = HEAD) -> str:
    """Return an address of an actor other than its f0 address, preferably f410."""
    if owner.protocol is not Protocol.ID:
        return address_json(owner)
    machine = machine_at(node, key)
    actor = machine.actor(owner)
    if actor is not None and actor.delegated_address is not None:
        return address_json(actor.delegated_address)
    found = Hamt(machine.store, machine.state_tree.init_state().address_map, _BIT_WIDTH)
    for known, number in found.items():
        if number == owner.actor_id():
            return address_json(Address.from_bytes(known))
    raise RpcError(LOTUS_ERROR, f"address not found: {owner} has no other address")


def state_list_actors(node: NodeReader, key: TipsetKey = HEAD) -> list[str]:
    """Return the f0 addresses of all actors."""
    machine = machine_at(node, key)
    machine.state_tree.flush()
    return [address_json(Address.id(actor)) for actor, _ in machine.state_tree.actors()]


def state_network_name(node: Node) -> str:
    """Return the network's name."""
    return node.network.chain.record.name


def state_network_version(node: Node, key: TipsetKey = HEAD) -> int:
    """Return the network version at a tipset."""
    return machine_at(node, key).context.network.number


def state_actor_codes(node: Node, version: int) -> dict[str, Any]:
    """Return the code CIDs of the built-in actors by name, for the current network version only."""
    manifest = node.network.machine.manifest
    if version != node.network.machine.context.network.number:
        raise RpcError(LOTUS_ERROR, f"the actors of network version {version} are unknown to this node")
    return {name: cid_json(manifest.code(name)) for name in ACTOR_NAMES}


def state_circulating_supply(node: Node, key: TipsetKey = HEAD) -> str:
    """Return the circulating supply in attoFIL."""
    return str(_supply(node, key).circulating)


def state_supply_parts(node: Node, key: TipsetKey = HEAD) -> dict[str, str]:
    """Return the parts of the circulating supply: the accounts' initial funds are vested from the start."""
    supply = _supply(node, key)
    return {
        "FilVested": str(supply.vested), "FilMined": str(supply.mined), "FilBurnt": str(supply.burnt),
        "FilLocked": str(supply.locked), "FilCirculating": str(supply.circulating),
        "FilReserveDisbursed": str(supply.disbursed),
    }  # fmt: skip


def _supply(node: Node, key: TipsetKey) -> Supply:
    chain = node.network.chain
    return supply_of(chain.machine_at(found_tipset(node.network, key)), chain.record.vested)


def state_beacon_entry(node: Node, height: int) -> dict[str, Any]:
    """Return the beacon entry of an epoch."""
    _digest(node, "beacon", height)
    return {"Round": height, "Data": bytes_json(beacon_entry(height))}


def digest_from_beacon(node: Node, height: int, key: TipsetKey = HEAD) -> str:
    """Return the beacon randomness of an epoch in base64, as contracts read it at 0xfe..06."""
    found_tipset(node.network, key)
    return b64encode(_digest(node, "beacon", height)).decode()


def digest_from_tickets(node: Node, height: int, key: TipsetKey = HEAD) -> str:
    """Return the ticket randomness of an epoch in base64."""
    found_tipset(node.network, key)
    return b64encode(_digest(node, "chain", height)).decode()


def randomness_from_beacon(node: Node, tag: int, height: int, entropy: bytes, key: TipsetKey = HEAD) -> str:
    """Return randomness from a beacon digest, for a domain and entropy, in base64."""
    found_tipset(node.network, key)
    return b64encode(draw(tag, _digest(node, "beacon", height), ChainEpoch(height), entropy)).decode()


def randomness_from_tickets(node: Node, tag: int, height: int, entropy: bytes, key: TipsetKey = HEAD) -> str:
    """Return randomness from a ticket digest, for a domain and entropy, in base64."""
    found_tipset(node.network, key)
    return b64encode(draw(tag, _digest(node, "chain", height), ChainEpoch(height), entropy)).decode()


# --- looking up -------------------------------------------------------------------------------------------------------


def machine_at(node: NodeReader, key: TipsetKey) -> Hypervisor:
    """Return a machine at the state after a tipset; by default the newest with a known state. Raises RpcError 1."""
    chain = node.network.chain
    return chain.machine_at(found_tipset(node.network, key) if key.blocks else chain.executed_head)


def id_of(machine: Hypervisor, owner: Address) -> ActorID:
    """Return the ID of the actor at an address. Raises RpcError 11."""
    found = machine.state_tree.lookup_id(owner)
    if found is None:
        message = f"resolution lookup failed ({owner}): resolve address {owner}: actor not found"
        raise RpcError(ACTOR_NOT_FOUND, message)
    return found


def actor_of(machine: Hypervisor, owner: Address) -> ActorState:
    """Return the state of the actor at an address. Raises RpcError 11."""
    state = machine.state_tree.get_actor(id_of(machine, owner))
    if state is None:
        raise RpcError(ACTOR_NOT_FOUND, "actor not found")
    return state


def _digest(node: Node, source: str, height: int) -> bytes:
    externs, network = node.network.machine.externs, node.network
    if height > network.block_number:
        raise RpcError(
            LOTUS_ERROR, f"cannot draw randomness from the future: epoch {height}, head {network.block_number}"
        )
    ask = externs.beacon_randomness if source == "beacon" else externs.chain_randomness
    try:
        return ask(ChainEpoch(height))
    except ExternError as error:
        raise RpcError(LOTUS_ERROR, str(error)) from None


METHODS = (
    Method("Filecoin.StateGetActor", (filecoin_address, optional(tipset)), state_get_actor),
    Method("Filecoin.StateReadState", (filecoin_address, optional(tipset)), state_read_state),
    Method("Filecoin.StateAccountKey", (filecoin_address, optional(tipset)), state_account_key, reads=True),
    Method("Filecoin.StateLookupID", (filecoin_address, optional(tipset)), state_lookup_id),
    Method("Filecoin.StateLookupRobustAddress", (filecoin_address, optional(tipset)), state_lookup_robust_address),
    Method("Filecoin.StateListActors", (optional(tipset),), state_list_actors, reads=True),
    Method("Filecoin.StateNetworkName", (), state_network_name),
    Method("Filecoin.StateNetworkVersion", (optional(tipset),), state_network_version),
    Method("Filecoin.StateActorCodeCIDs", (unsigned,), state_actor_codes),
    Method("Filecoin.StateCirculatingSupply", (optional(tipset),), state_circulating_supply),
    Method("Filecoin.StateVMCirculatingSupplyInternal", (optional(tipset),), state_supply_parts),
    Method("Filecoin.StateGetBeaconEntry", (epoch,), state_beacon_entry, aliases=("Filecoin.BeaconGetEntry",)),
    Method("Filecoin.StateGetRandomnessDigestFromBeacon", (epoch, optional(tipset)), digest_from_beacon),
    Method("Filecoin.StateGetRandomnessDigestFromTickets", (epoch, optional(tipset)), digest_from_tickets),
    Method(
        "Filecoin.StateGetRandomnessFromBeacon",
        (unsigned, epoch, base64_bytes, optional(tipset)),
        randomness_from_beacon,
    ),
    Method(
        "Filecoin.StateGetRandomnessFromTickets",
        (unsigned, epoch, base64_bytes, optional(tipset)),
        randomness_from_tickets,
    ),
)
