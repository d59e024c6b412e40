"""Calls of actors on a running node, over the Filecoin methods of its JSON-RPC: lotus' names, so lotus answers, too."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Any

from bridge.interfaces import Interface
from bridge.printable import printable
from devtools.cli.rpc_client import ask
from hypervisor.errors import InvalidInput
from localnet.addresses import filecoin_address
from localnet.contracts.native_actor import read_interface
from localnet.fork.node_client import NodeError


def call_actor(
    url: str, target: str, method: str, params: Any, value: int, account: int, dry_run: bool, schema: Path | None
) -> dict[str, Any]:
    """The answer of a method, and the CID of the message if one was sent; `value` in attoFIL.

    Raises InvalidInput, and NodeError also where the actor exits with another code than 0.
    """
    address = str(filecoin_address(target))
    interface = _built_in(url, address) if schema is None else read_interface(schema)
    data = interface.params(method, params)
    request = {
        "To": address,
        "From": _sender(url, account),
        "Value": str(value),
        "Method": interface.number(method),
        "Params": b64encode(data).decode(),
    }
    if dry_run:
        called = ask(url, "Filecoin.StateCall", request, None)
        return {"answer": _answer(url, interface, method, called, "MsgRct")}
    sent = ask(url, "Filecoin.MpoolPushMessage", request, None)
    waited = ask(url, "Filecoin.StateWaitMsg", sent["CID"], 0, -1, True)
    return {"answer": _answer(url, interface, method, waited, "Receipt"), "message": sent["CID"]["/"]}


def _built_in(url: str, address: str) -> Interface:
    code = ask(url, "Filecoin.StateGetActor", address, None)["Code"]
    version = ask(url, "Filecoin.StateNetworkVersion", None)
    names = [name for name, known in ask(url, "Filecoin.StateActorCodeCIDs", version).items() if known == code]
    if not names:
        raise InvalidInput(f"the interface of {address} is not known: name its schema with --schema")
    return Interface.built_in(names[0])


def _sender(url: str, account: int) -> str:
    native = [str(each) for each in ask(url, "Filecoin.WalletList") if str(each)[1:2] == "1"]
    if account >= len(native):
        raise InvalidInput(f"{url} has {len(native)} native accounts: there is no number {account}")
    return native[account]


def _answer(url: str, interface: Interface, method: str, found: dict[str, Any], receipt: str) -> Any:
    try:
        code, returned = found[receipt]["ExitCode"], found[receipt]["Return"]
        data = b64decode(returned or "", validate=True)
    except (TypeError, KeyError, Base64Error) as error:
        raise NodeError(f"{url} answers what is not a receipt: {error}") from None
    if code:
        raise NodeError(f"{method} exits with {code}: {printable(str(found.get('Error') or 'no message'))}")
    return interface.answer_json(method, data)
