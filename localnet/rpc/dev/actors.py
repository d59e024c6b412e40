"""Methods of a development network about actors: upgrades, miners, DataCap, the block producer, and users' actors.

Users' native actors are added to a running network: code, new actors, replacement of code. A real network has no such
messages, so these methods change the head's state directly, as `anvil_setCode` does for contracts. Other methods
register contracts' interfaces and artifacts with the node, and return source positions of calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.machine.machine import CreationFailed
from hypervisor.messages.address import Address
from hypervisor.versions.stream_settings import StreamSettings
from localnet.chain.streams import stream_settings
from localnet.contracts.native_actor import existing_actor
from localnet.rpc.dev.state import actor_address
from localnet.rpc.errors import LIMIT_EXCEEDED, LOTUS_ERROR, RpcError, invalid_params, no_private_key
from localnet.rpc.lotus_values import base64_bytes, cid, cid_json, filecoin_address
from localnet.rpc.methods import Method, Preparation, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import address, any_value, as_quantity, boolean, data, format_value, hash32, number, text
from localnet.state.actor_interfaces import NO_SCHEMA, StoredSchemas
from localnet.traces.call_places import InstructionPlaces, call_places
from store.cid import Cid


def add_abi(node: Node, contract: Any, at: EthAddress | None = None, name: str | None = None) -> bool:
    """Register an ABI (a list, or compiler JSON) for decoding calls, of one contract or of all contracts."""
    abi = contract.get("abi") if isinstance(contract, Mapping) else contract
    if not isinstance(abi, list):
        raise invalid_params("contract: expected an ABI's list, or an object with the field abi")
    known = contract.get("contractName") if isinstance(contract, Mapping) else None
    node.network.add_interface(abi, name or (known if isinstance(known, str) else None) or "contract", at)
    return True


def trace_places(node: NodeReader, transaction_hash: bytes) -> Any:
    """Return the positions of a transaction's calls by program counter.

    The result is null if the re-execution takes too long, and for a reward or cron.
    """
    receipt = node.network.executed(transaction_hash)
    return None if receipt.is_implicit else call_places(node.network.chain, receipt, InstructionPlaces())


def module(value: Any) -> bytes:
    """Read the bytes of a WASM module, in hex or base64."""
    return data(value) if isinstance(value, str) and value.startswith("0x") else base64_bytes(value)


def install_actor(node: Node, wasm: bytes, schema: str | None = None, name: str | None = None) -> dict[str, str]:
    """Install a valid WASM module with its interface and name; return the code CID."""
    return cid_json(node.network.actors.keep(wasm, schema, "" if name is None else name))


def _compile(_: Node, wasm: bytes, **_others: Any) -> Callable[[NodeReader], bytes]:
    """Return the compilation of a module, which takes too long for the chain's thread."""

    def query(node: NodeReader) -> bytes:
        node.network.machine.prepare_module(wasm)
        return wasm

    return query


def create_actor(node: Node, code: Cid, params: Any = None, value: int = 0) -> dict[str, str]:
    """Create an actor with installed code by its constructor; `params` are typed by its schema, or CBOR in hex.

    The balance, in attoFIL, is created.
    """
    actors = node.network.actors
    is_raw = isinstance(params, str) and params.startswith("0x")
    try:
        if is_raw:
            created = actors.create(code, cbor=data(params), value=value)
        else:
            created = actors.create(code, params, value=value)
    except CreationFailed as error:
        raise RpcError(LOTUS_ERROR, str(error)) from None
    found = node.network.machine.state_tree.lookup_id(created.address)
    assert found is not None, "an actor that was created has an ID"
    return {"id": str(Address.id(found)), "address": str(created.address)}


def set_actor_code(node: Node, address: Address, code: Cid) -> bool:
    """Replace an actor's code by a built-in actor's or installed code; state, balance and nonce are unchanged."""
    node.network.actors.replace(address, code)
    return True


def actor_interface(node: NodeReader, address: Address) -> dict[str, Any]:
    """Return an actor's code, the name of the code, and its schema: null for a built-in actor.

    `fault` is why a schema on the chain cannot be used; empty if there is none.
    """
    machine = node.network.machine
    state = existing_actor(machine, address)
    known = NO_SCHEMA if machine.manifest.name_of(state.code) else StoredSchemas.of_machine(machine)(state)
    return {
        "code": cid_json(state.code),
        "name": machine.name_of(state.code),
        "schema": known.text,
        "fault": known.fault,
    }


MAX_SECTORS: Final = 1_000
_TURN: Final = 0.1
"""Maximum duration in seconds of the collection step in one request."""
_BUNDLE: Final = re.compile(r"(own(-[a-z0-9-]+)?|v[0-9]{1,3}(-[a-z-]+)?)")


def version(value: Any) -> int:
    """Read a network version: 29, or nv29."""
    if isinstance(value, str) and value.startswith("nv"):
        value = value[2:]
    return number(value)


def bundle_name(value: Any) -> str:
    """Read a bundle's name. Paths are rejected: a client need not know this machine's files."""
    if not _BUNDLE.fullmatch(text(value)):
        raise invalid_params(
            f"{format_value(value)} is not a name of a bundle: expected own, v18 or v18-devnet, for example"
        )
    return str(value)


def streams(value: Any) -> StreamSettings:
    """Read settings of streams: an object of swa, sra, orchestrator (addresses), ramp, timelock (epochs).

    All of them may be left out.
    """
    known: dict[str, Callable[[Any], Any]] = {
        "swa": actor_address,
        "sra": actor_address,
        "orchestrator": actor_address,
        "ramp": number,
        "timelock": number,
    }
    if not isinstance(value, dict) or not value.keys() <= known.keys():
        raise invalid_params(f"{format_value(value)} are not valid streams: expected an object of {', '.join(known)}")
    return stream_settings(**{name: known[name](item) for name, item in value.items()})


def upgrade(node: Node, version: int, bundle: str | None = None, streams: StreamSettings | None = None) -> str:
    """Upgrade the network after the head, with the actors of a bundle; return the first height of the new version.

    Network version 29 uses the embedded actors v19 unless a bundle is named, and may be given streams.
    """
    return as_quantity(node.network.upgrade(version, bundle, streams).height)


def create_miner(node: Node, owner: EthAddress, sectors: int = 1, claims: bool = False, size: int = 2048) -> str:
    """Create a storage miner, with live sectors of `size` bytes (default: 2048). Return its address."""
    account = node.network.account(owner)
    if account is None:
        raise no_private_key(owner)
    if sectors > MAX_SECTORS:
        raise RpcError(LIMIT_EXCEEDED, f"{sectors} sectors in one request, at most {MAX_SECTORS}")
    return str(node.network.create_miner(account, sectors, sector_size=size, claims=claims).address)


def grant_datacap(node: Node, client: EthAddress | Address, size: int) -> bool:
    """Make an address a verified client with DataCap for `size` more bytes, at least 256; up to network version 28."""
    node.network.grant_datacap(client, size)
    return True


def set_producer(node: Node, miner: EthAddress | Address) -> bool:
    """Set the storage miner that produces the next blocks and gets their rewards; f00 resets it."""
    node.network.set_producer(miner)
    return True


def backup(node: Node) -> str:
    """Write a copy of the chain's folder to a new folder in its folder `backups`, and return the path.

    The copy is a chain of its own, as of the head. It takes some milliseconds, and at first no space.
    """
    return str(node.folder_collector.backup())


def collect_garbage(node: Node, states: int | None = None) -> dict[str, Any]:
    """Run a step of the folder's garbage collection, or start a collection that retains the newest states.

    Repeat the request until `phase` is `done`. The node serves other requests in between, and during the phase
    `compact`, which releases disk space. Without a number, all states are retained.
    """
    progress = node.folder_collector.collect(_TURN, states)
    sizes = None if progress.done is None else (progress.done.size_before, progress.done.size_after)
    return {
        "phase": progress.phase,
        "kept": progress.retained,
        "dropped": progress.dropped,
        "sizeBefore": None if sizes is None else sizes[0],
        "sizeAfter": None if sizes is None else sizes[1],
    }


METHODS = (
    Method("hypervisor_addAbi", (any_value, optional(address), optional(text)), add_abi),
    Method("hypervisor_tracePlaces", (hash32,), trace_places, reads=True, traces=True),
    Method(
        "hypervisor_installActor",
        (module, optional(text), optional(text)),
        install_actor,
        traces=True,
        preparation=Preparation(_compile, lambda _: "hypervisor_installActor"),
    ),
    Method("hypervisor_createActor", (cid, optional(any_value), optional(number)), create_actor),
    Method("hypervisor_setActorCode", (filecoin_address, cid), set_actor_code),
    Method("hypervisor_actorInterface", (filecoin_address,), actor_interface, reads=True),
    Method("hypervisor_upgrade", (version, optional(bundle_name), optional(streams)), upgrade),
    Method("hypervisor_createMiner", (address, optional(number), optional(boolean), optional(number)), create_miner),
    Method("hypervisor_grantDatacap", (actor_address, number), grant_datacap),
    Method("hypervisor_setProducer", (actor_address,), set_producer),
    Method("hypervisor_backup", (), backup),
    Method("hypervisor_collectGarbage", (optional(number),), collect_garbage),
)
