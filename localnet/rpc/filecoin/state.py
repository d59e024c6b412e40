"""Methods about the state: actors, addresses, randomness, and decoded states of built-in actors.

`Filecoin.State*` methods of a tipset return the state after it, because it is executed when it is built. On the
network, and with deferred execution, it is executed with the next one, and they return the state in its header.

The states of built-in actors are shown as Go's JSON (`localnet.rpc.lotus_types`). The state of any other actor is shown
as undecoded IPLD, with bytes in hex. Shapes: lotus api/api_full.go.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Any, Final

from bridge.actors.interfaces import as_json
from bridge.actors.schemas import ANY, actor_schema, state_types
from bridge.ethereum.addresses import EthAddress, from_delegated, masked_id, to_filecoin
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.context import ExternError, draw
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, ChainEpoch
from localnet.chain.supply import Supply, supply_of
from localnet.ledger.blocks import beacon_entry
from localnet.rpc.errors import ACTOR_NOT_FOUND, LOTUS_ERROR, RpcError
from localnet.rpc.lotus_types import go_type, to_json, types_version
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    actor_json,
    address_json,
    base64_bytes,
    bytes_json,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import address, as_data, text
from store.blockstore import get_object
from store.cid import Cid
from store.codec import unlink
from store.schema import SchemaError
from store.trees.hamt import Hamt


def state_fields(machine: Hypervisor, actor: ActorState) -> dict[str, Any]:
    """Return an actor's state by the names of its schema; links and byte strings as in the data model.

    There are several types, for older and newer bundles. Raises SchemaError for a state of another layout.
    """
    schema = actor_schema(machine.manifest.name_of(actor.code) or "")
    data = get_object(machine.store, actor.head)
    for name in state_types(schema, actors_version(machine.manifest)):
        with suppress(SchemaError):
            found: dict[str, Any] = schema.read(name, data)
            return found
    raise SchemaError("the state has an unknown version")


def go_state(machine: Hypervisor, actor: ActorState) -> Any:
    """Return an actor's state as Lotus writes it, null for built-in actors without one; other states as plain IPLD."""
    kind, data = machine.manifest.name_of(actor.code) or "", get_object(machine.store, actor.head)
    term = go_type(types_version(machine), kind, "State")
    if term is not None:
        with suppress(SchemaError):
            return to_json(term, data)
    return None if kind and term is None else as_json(actor_schema(kind), ANY, data)


def read_linked(machine: Hypervisor, actor: ActorState, name: str, link: Any) -> dict[str, Any]:
    """Read a value of a schema type in a block that the actor's state links."""
    schema = actor_schema(machine.manifest.name_of(actor.code) or "")
    found: dict[str, Any] = schema.read(name, get_object(machine.store, _cid(link)))
    return found


def linked_json(machine: Hypervisor, kind: str, name: str, data: Any) -> Any:
    """Return data that the state of an actor links to as Lotus writes it. Raises RpcError 1."""
    term = go_type(types_version(machine), kind, name)
    assert term is not None, f"{kind} has no {name}"
    try:
        return to_json(term, data)
    except SchemaError as error:
        raise RpcError(LOTUS_ERROR, f"the {name} of {kind} cannot be read: {error}") from None


def _cid(value: Any) -> Cid:
    return Cid(value) if isinstance(value, bytes) else unlink(value)


_BIT_WIDTH: Final = 5
_KEYS: Final = (Protocol.SECP256K1, Protocol.BLS, Protocol.DELEGATED)


def state_get_actor(node: Node, owner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the actor at an address: code, head, nonce, balance, delegated address. Error 1 if there is none."""
    return actor_json(actor_of(machine_at(node, key), owner))


def state_read_state(node: Node, owner: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return an actor's balance, code and state."""
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
    return address_json(actor.delegated_address or key_address(machine, owner, actor))


def key_address(machine: Hypervisor, owner: Address, actor: ActorState) -> Address:
    """Return the f1 or f3 address of a native account. Raises RpcError 1 for any other actor."""
    if machine.manifest.name_of(actor.code) != "account":
        raise RpcError(LOTUS_ERROR, f"failed to get account actor state for {owner}: it is not an account")
    return Address.from_bytes(get_object(machine.store, actor.head)[0])


def state_lookup_id(node: Node, owner: Address, key: TipsetKey = HEAD) -> str:
    """Return the f0 address of an actor. Error 11 if no actor has the address."""
    return address_json(Address.id(id_of(machine_at(node, key), owner)))


def state_lookup_robust_address(node: Node, owner: Address, key: TipsetKey = HEAD) -> str:
    """Return the first address of the init actor's map with the ID of an f0 address."""
    if owner.protocol is not Protocol.ID:
        raise RpcError(LOTUS_ERROR, f"{address_json(owner)} is not an ID address: pass a t0 address")
    machine = machine_at(node, key)
    found = Hamt(machine.store, machine.state_tree.init_state().address_map, _BIT_WIDTH)
    for known, number in found.items():
        if number == owner.actor_id():
            return address_json(Address.from_bytes(known))
    raise RpcError(LOTUS_ERROR, f"address not found: {owner} has no other address")


def eth_to_filecoin(node: Node, owner: EthAddress) -> str:
    """Return the Filecoin address of an Ethereum address."""
    return address_json(to_filecoin(owner))


def filecoin_to_eth(node: Node, owner: Address, tag: str = "finalized") -> str:
    """Return the Ethereum address of a Filecoin one: that in an f410 address, else the masked ID, whatever `tag` is."""
    if owner.protocol is Protocol.DELEGATED:
        found = from_delegated(owner)
        if found is None:
            raise RpcError(LOTUS_ERROR, f"{address_json(owner)} is not the f410 address of an Ethereum address")
        return as_data(found)
    return as_data(masked_id(id_of(node.network.machine, owner)))


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
    return supply_of(machine_at(node, key).state_tree, node.network.chain.record.vested)


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
    """Return a machine at the state of a tipset; by default the newest. Raises RpcError 1.

    It is the state after the tipset, or with deferred execution the one in its header, after its parent.
    """
    chain = node.network.chain
    if not key.blocks:
        return chain.machine_at(chain.executed_head)
    found = found_tipset(node.network, key)
    is_before = chain.deferred and found.parent >= chain.index.first
    return chain.machine_at(chain.index.tipset(found.parent) if is_before else found)


def id_of(machine: Hypervisor, owner: Address) -> ActorID:
    """Return the ID of the actor at an address. Raises RpcError 11."""
    found = machine.state_tree.lookup_id(owner)
    if found is None:
        message = f"resolution lookup failed ({owner}): resolve address {owner}: actor not found"
        raise RpcError(ACTOR_NOT_FOUND, message)
    return found


def actor_of(machine: Hypervisor, owner: Address) -> ActorState:
    """Return the state of the actor at an address. Raises RpcError 1."""
    state = machine.actor(owner)
    if state is None:
        raise RpcError(LOTUS_ERROR, f"actor not found: {owner}")
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
    Method("Filecoin.EthAddressToFilecoinAddress", (address,), eth_to_filecoin, inline=True),
    Method("Filecoin.FilecoinAddressToEthAddress", (filecoin_address, optional(text)), filecoin_to_eth),
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
