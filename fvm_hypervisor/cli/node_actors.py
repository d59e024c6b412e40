"""Calls of actors on a running node over JSON-RPC. Calls use Lotus's method names, so they also work with Lotus."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Any

from bridge.actors.interfaces import UNKNOWN_INTERFACE, Interface
from fvm_hypervisor.cli.rpc_client import rpc_request
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from localnet.addresses import filecoin_address
from localnet.contracts.native_actor import read_interface, read_schema
from localnet.fork.node_client import NodeError, redacted_url


def install_actor(url: str, module: bytes, schema: Path | None, name: str) -> str:
    """Install a module on a node and return its code CID. Raises InvalidInput, NodeError."""
    text = None if schema is None else read_schema(schema)
    return _cid(url, rpc_request(url, "hypervisor_installActor", b64encode(module).decode(), text, name))


def create_actor(url: str, code: str, params: Any, cbor: bytes | None, value: int) -> dict[str, str]:
    """Create an actor on a node and return its addresses. Raises NodeError."""
    encoded = params if cbor is None else f"0x{cbor.hex()}"
    found = rpc_request(url, "hypervisor_createActor", {"/": code}, encoded, hex(value))
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("id", "address")):
        raise NodeError(f"{redacted_url(url)} did not return the addresses of the new actor: {found!r:.60}")
    return {name: printable(found[name]) for name in ("id", "address")}


def replace_actor(url: str, target: str, code: str) -> None:
    """Replace the code of an actor on a node. Raises NodeError."""
    rpc_request(url, "hypervisor_setActorCode", str(filecoin_address(target)), {"/": code})


def call_actor(
    url: str,
    target: str,
    method: str | int,
    params: Any,
    value: int,
    account: int,
    dry_run: bool,
    schema: Path | None,
    cbor: bytes | None = None,
) -> dict[str, Any]:
    """Call a method and return its result, with the message's CID if one was sent; `value` is in attoFIL.

    Raises InvalidInput, and NodeError also if the exit code is not 0.
    """
    address = str(filecoin_address(target))
    interface = _node_interface(url, address, isinstance(method, int)) if schema is None else read_interface(schema)
    number, data = interface.message(method, params, cbor)
    request = {
        "To": address,
        "From": _sender(url, account),
        "Value": str(value),
        "Method": number,
        "Params": b64encode(data).decode(),
    }
    if dry_run:
        called = rpc_request(url, "Filecoin.StateCall", request, None)
        return {"answer": _decode_return(url, interface, method, called, "MsgRct")}
    sent = rpc_request(url, "Filecoin.MpoolPushMessage", request, None)
    waited = rpc_request(url, "Filecoin.StateWaitMsg", sent["CID"], 0, -1, True)
    return {"answer": _decode_return(url, interface, method, waited, "Receipt"), "message": sent["CID"]["/"]}


def _cid(url: str, found: Any) -> str:
    if not isinstance(found, dict) or not isinstance(found.get("/"), str):
        raise NodeError(f"{redacted_url(url)} returned no code CID: {found!r:.60}")
    return printable(found["/"])


def _node_interface(url: str, address: str, by_number: bool) -> Interface:
    """Return the interface that a node has for an actor's code; with `by_number`, it may be empty."""
    try:
        found = rpc_request(url, "hypervisor_actorInterface", address)
    except NodeError as error:
        if not error.answered:
            raise
        found = {}  # the node lacks the method
    if isinstance(found, dict) and isinstance(found.get("schema"), str):
        return Interface.parse(found["schema"], f"the schema of {address}")
    try:
        return _built_in(url, address)
    except InvalidInput:
        if not by_number:
            raise
        return UNKNOWN_INTERFACE


def _built_in(url: str, address: str) -> Interface:
    code = rpc_request(url, "Filecoin.StateGetActor", address, None)["Code"]
    version = rpc_request(url, "Filecoin.StateNetworkVersion", None)
    names = [name for name, known in rpc_request(url, "Filecoin.StateActorCodeCIDs", version).items() if known == code]
    if not names:
        raise InvalidInput(f"the interface of {address} is unknown: pass its schema with --schema")
    return Interface.built_in(names[0])


def _sender(url: str, account: int) -> str:
    native = [str(each) for each in rpc_request(url, "Filecoin.WalletList") if str(each)[1:2] == "1"]
    if account >= len(native):
        count = f"{len(native)} native account{'' if len(native) == 1 else 's'}"
        raise InvalidInput(f"account {account} is out of range: {redacted_url(url)} has {count}")
    return native[account]


def _decode_return(url: str, interface: Interface, method: str | int, found: dict[str, Any], receipt: str) -> Any:
    try:
        code, returned = found[receipt]["ExitCode"], found[receipt]["Return"]
        data = b64decode(returned or "", validate=True)
    except (TypeError, KeyError, Base64Error) as error:
        raise NodeError(f"{redacted_url(url)} returned an invalid receipt: {error}") from None
    if code:
        raise NodeError(f"{method} exited with {code}: {printable(str(found.get('Error') or 'no message'))}")
    return interface.return_as_json(method, data)
