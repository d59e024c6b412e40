"""Methods that add users' native actors to a running network: code, new actors, replacement of code.

A real network has no such messages. These methods change the head's state directly, as `anvil_setCode` does for
contracts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypervisor.machine.machine import CreationFailed
from hypervisor.messages.address import Address
from localnet.contracts.native_actor import existing_actor
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.lotus_shapes import cid_json
from localnet.rpc.lotus_values import base64_bytes, cid, filecoin_address
from localnet.rpc.methods import Method, Preparation, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import any_value, data, number, text
from localnet.state.actor_interfaces import NO_SCHEMA, StoredSchemas
from store.cid import Cid


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


METHODS = (
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
)
