"""Filecoin methods about multisigs, and about the encoding of parameters.

Multisig operations have no methods: clients send messages to the actor (`Filecoin.MpoolPushMessage`).
Layouts and the amount locked: builtin-actors multisig.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import decode_bigint
from localnet.rpc.errors import LOTUS_ERROR, RpcError
from localnet.rpc.filecoin.state import actor_of, machine_at, state_fields
from localnet.rpc.lotus_types import decode_json, encode_json, go_method, types_version
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    address_json,
    base64_bytes,
    bytes_json,
    cid,
    cid_json,
    filecoin_address,
    found_tipset,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import any_value
from store.cid import Cid, read_uvarint, show
from store.codec import unlink
from store.schema import SchemaError
from store.trees.hamt import Hamt

_BIT_WIDTH: Final = 5


def msig_pending(node: Node, multisig: Address, key: TipsetKey = HEAD) -> list[dict[str, Any]]:
    """Return the pending transactions of a multisig, and their approvers."""
    machine = machine_at(node, key)
    state = state_fields(machine, _multisig(machine, multisig))
    pending = Hamt(machine.store, unlink(state["pending_txs"]), _BIT_WIDTH).items()
    found = {_signed(key_bytes): fields for key_bytes, fields in pending}
    return [_transaction(number, *found[number]) for number in sorted(found)]


def msig_available(node: Node, multisig: Address, key: TipsetKey = HEAD) -> str:
    """Return the attoFIL that a multisig can spend: its balance less its locked amount."""
    machine = machine_at(node, key)
    actor = _multisig(machine, multisig)
    height = found_tipset(node.network, key).height
    return str(max(0, actor.balance - _locked_amount(state_fields(machine, actor), height)))


def msig_vested(node: Node, multisig: Address, start: TipsetKey, end: TipsetKey) -> str:
    """Return the attoFIL that a multisig unlocked between two tipsets."""
    heights = [found_tipset(node.network, key).height for key in (start, end)]
    if heights[0] > heights[1]:
        raise RpcError(LOTUS_ERROR, f"start tipset {heights[0]} is after end tipset {heights[1]}")
    machine = machine_at(node, end)
    state = state_fields(machine, _multisig(machine, multisig))
    return str(_locked_amount(state, heights[0]) - _locked_amount(state, heights[1]))


def msig_schedule(node: Node, multisig: Address, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the vesting schedule of a multisig: initial balance, start epoch, duration in epochs."""
    machine = machine_at(node, key)
    state = state_fields(machine, _multisig(machine, multisig))
    return {
        "InitialBalance": str(decode_bigint(state["initial_balance"])),
        "StartEpoch": state["start_epoch"],
        "UnlockDuration": state["unlock_duration"],
    }


def decode_params(node: Node, to: Address, method: int, params: bytes, key: TipsetKey = HEAD) -> Any:
    """Decode the parameters of a built-in actor's method to JSON in Lotus' format."""
    machine = machine_at(node, key)
    kind = machine.manifest.name_of(actor_of(machine, to).code) or ""
    known = go_method(types_version(machine), kind, method)
    if known is None:
        raise RpcError(LOTUS_ERROR, f"method {method} of {address_json(to)} is unknown")
    try:
        return decode_json(known.params, params)
    except SchemaError as error:
        raise RpcError(LOTUS_ERROR, f"invalid parameters of {known.name}: {error}") from None


def encode_params(node: Node, code: Cid, method: int, value: Any) -> str | None:
    """Encode the parameters of a built-in actor's method, given as JSON in Lotus' format."""
    machine = node.network.machine
    kind = machine.manifest.name_of(code)
    if kind is None:
        raise RpcError(LOTUS_ERROR, f"{show(code)} is not the code of a built-in actor of this network")
    known = go_method(types_version(machine), kind, method)
    if known is None:
        raise RpcError(LOTUS_ERROR, f"the {kind} actor has no method {method}")
    try:
        return bytes_json(encode_json(known.params, value))
    except SchemaError as error:
        raise RpcError(LOTUS_ERROR, f"invalid parameters of {known.name}: {error}") from None


def manifest_cid(node: Node, version: int) -> dict[str, str]:
    """Return the CID of the built-in actors' manifest, for the current network version only."""
    machine = node.network.machine
    if version != machine.context.network.number:
        raise RpcError(LOTUS_ERROR, f"the actors of network version {version} are unknown to this node")
    return cid_json(machine.manifest.root)


def _multisig(machine: Hypervisor, multisig: Address) -> ActorState:
    actor = actor_of(machine, multisig)
    if machine.manifest.name_of(actor.code) != "multisig":
        raise RpcError(LOTUS_ERROR, f"failed to load multisig actor state: {address_json(multisig)} is not a multisig")
    return actor


def _locked_amount(state: dict[str, Any], epoch: int) -> int:
    """Return the locked amount in attoFIL; the unlocked part grows per epoch and is rounded down."""
    first, duration = decode_bigint(state["initial_balance"]), state["unlock_duration"]
    elapsed = epoch - state["start_epoch"]
    if elapsed >= duration:
        return 0
    return first if elapsed < 0 else -(-first * (duration - elapsed) // duration)


def _transaction(
    number: int, to: bytes, value: bytes, method: int, params: bytes, approved: list[bytes]
) -> dict[str, Any]:
    return {
        "ID": number,
        "To": address_json(Address.from_bytes(to)),
        "Value": str(decode_bigint(value)),
        "Method": method,
        "Params": bytes_json(params),
        "Approved": [address_json(Address.from_bytes(signer)) for signer in approved],
    }


def _signed(key: bytes) -> int:
    """Decode a signed map key: a zigzag varint."""
    raw, _ = read_uvarint(key, 0)
    return (raw >> 1) ^ -(raw & 1)


METHODS = (
    Method("Filecoin.MsigGetPending", (filecoin_address, optional(tipset)), msig_pending),
    Method("Filecoin.MsigGetAvailableBalance", (filecoin_address, optional(tipset)), msig_available),
    Method("Filecoin.MsigGetVested", (filecoin_address, tipset, tipset), msig_vested),
    Method("Filecoin.MsigGetVestingSchedule", (filecoin_address, optional(tipset)), msig_schedule),
    Method("Filecoin.StateDecodeParams", (filecoin_address, unsigned, base64_bytes, optional(tipset)), decode_params),
    Method("Filecoin.StateEncodeParams", (cid, unsigned, any_value), encode_params),
    Method("Filecoin.StateActorManifestCID", (unsigned,), manifest_cid),
)
