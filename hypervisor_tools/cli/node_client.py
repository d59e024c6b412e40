"""Requests of commands to a node: addresses in every form, sending and waiting, call trees, and native actors.

The node may be untrusted: a malformed response raises a one-sentence error, and names with control codes are
rejected. Text of contracts and actors is passed through, because the printer escapes it. Calls of native actors use
Lotus's method names, so they also work with Lotus.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from bridge.actors.interfaces import UNKNOWN_INTERFACE, Interface
from bridge.ethereum.reverts import exit_error, revert_reason
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from hypervisor_tools.cli.options import URL, URL_VARIABLE, status_line
from hypervisor_tools.cli.rpc_client import rpc_request
from localnet.addresses import filecoin_address
from localnet.contracts.native_actor import read_interface, read_schema
from localnet.fork.node_client import NodeError
from localnet.fork.urls import redacted_url
from localnet.traces.trace_command import trace_command

if TYPE_CHECKING:
    from bridge.abi.abi import ContractInterface
    from bridge.ethereum.transactions import Transaction
    from localnet.contracts.named_interface import NamedInterface

_QUICK, _SLOW = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class SendOptions:
    """Sender and timeout of a transaction: a node's account or a private key, and seconds to wait."""

    url: str
    sender: str
    key: str | None
    gas_limit: int | None
    timeout: float


def ethereum(url: str) -> Callable[[str], str]:
    """Return a function that converts an f-, t- or 0x address to its 0x form.

    The node resolves f1, f2 and f3 addresses.
    """

    def read(text: str) -> str:
        from bridge.ethereum.addresses import from_delegated, masked_id
        from localnet.addresses import filecoin_address

        parsed = filecoin_address(text)
        number = parsed.actor_id()
        known = masked_id(number) if number is not None else from_delegated(parsed)
        if known is None:
            return str(request_of_actor(url, text, "Filecoin.FilecoinAddressToEthAddress", str(parsed)))
        if number is not None and not text.startswith("0x"):
            request_of_actor(url, text, "Filecoin.StateNetworkName")  # on another network, the funds would be lost
        return f"0x{known.hex()}"

    return read


def request_of_actor(url: str, address: str, method: str, *params: Any) -> Any:
    """Return a node's response about an actor. Raises NodeError, also for a node without actors."""
    try:
        return rpc_request(url, method, *params)
    except NodeError as error:
        if not error.is_unknown_method:
            raise
        raise NodeError(
            f"{redacted_url(url)} cannot resolve {address}: {method} failed ({error}). Addresses of actors "
            "need a Filecoin node, such as Lotus or `hypervisor node`; Ethereum nodes have no actors",
            error.data,
            code=error.code,
            answered=True,
        ) from None


def await_node(url: str, timeout: float) -> None:
    """Wait until a node responds; standard error shows the URL and the deadline.

    Raises NodeError on a timeout, or if another kind of server responds.
    """
    deadline, pause, is_shown = time.monotonic() + timeout, _QUICK, False
    while True:
        try:
            rpc_request(url, "eth_chainId")
            return
        except NodeError as error:
            if error.answered or time.monotonic() > deadline:
                raise
        if not is_shown:
            end = time.strftime("%H:%M:%S", time.localtime(time.time() + timeout))
            typer.echo(f"waiting for a node at {redacted_url(url)} until {end} (--timeout {timeout:g})", err=True)
            is_shown = True
        time.sleep(pause)
        pause = min(2 * pause, _SLOW)


def send_transaction(sending: SendOptions, to: str | None, data: bytes, value: int) -> dict[str, Any]:
    """Send a transaction and return its receipt.

    Raises NodeError if it is rejected or has no receipt before the timeout.
    """
    request = request_of(sending, to, data, value)
    if sending.key is None:
        transaction = rpc_request(sending.url, "eth_sendTransaction", request)
    else:
        transaction = rpc_request(sending.url, "eth_sendRawTransaction", _sign(sending, to, data, value, request))
    return _wait_for_receipt(sending.url, str(transaction), sending.timeout)


def request_of(sending: SendOptions, to: str | None, data: bytes, value: int) -> dict[str, Any]:
    """Return a transaction as the request object of `eth_call` and `eth_sendTransaction`."""
    request = {"to": to, "data": f"0x{data.hex()}", "value": hex(value)}
    if sending.gas_limit is not None:
        request["gas"] = hex(sending.gas_limit)
    if sending.key is None:
        sender = _account(sending.url, sending.sender)
    else:
        sender = f"0x{account_of(sending.key).address.hex()}"
    return {"from": sender, **{name: field for name, field in request.items() if field is not None}}


def register_abi(url: str, abi: Sequence[Any], name: str, address: str | None = None) -> None:
    """Register a contract's name and ABI with a node for traces and pages. Nodes without the method are ignored."""
    with suppress(NodeError):
        rpc_request(url, "hypervisor_addAbi", list(abi), address, name)


def failure_lines(url: str, transaction: str, interfaces: Sequence[Any] = ()) -> list[str]:
    """Return the failure trace of a transaction as lines; empty if the node cannot trace."""
    from localnet.traces.trace_report import explain_trace

    try:
        found = explain_trace(request_trace(url, transaction), interfaces)
    except NodeError:
        return []
    return list(found["why"]["calls"]) if found["why"] else []


def print_outcome(url: str, receipt: dict[str, Any], failure: Sequence[str], as_json: bool, **more: Any) -> None:
    """Print the result of a transaction. Exits with status 1 if it failed."""
    failed = int(receipt["status"], 16) != 1
    found = {
        "transaction": receipt["transactionHash"],
        "block": int(receipt["blockNumber"], 16),
        "gas_used": int(receipt["gasUsed"], 16),
        "status": "failed" if failed else "ok",
        **more,
    }
    if failed:
        found["why"] = list(failure)
    if as_json:
        typer.echo(json.dumps(found))
    elif failed:
        typer.echo(f"error: transaction {found['transaction']} in block {found['block']} failed", err=True)
        for line in failure:
            typer.echo(f"  {line}", err=True)
        default = os.environ.get(URL_VARIABLE, URL)
        command = trace_command(found["transaction"], url if url == default else redacted_url(url), default)
        typer.echo(f"  `{command}` shows all its calls", err=True)
    else:
        for name, value in found.items():
            typer.echo(f"{name:<12} {value:,}" if isinstance(value, int) else f"{name:<12} {value}")
    if failed:
        raise typer.Exit(1)


def account_of(key: str) -> Any:
    """Return the account of a hex private key. Raises InvalidInput, whose message does not contain the key."""
    from localnet.accounts import Account

    try:
        secret = bytes.fromhex(key.strip().removeprefix("0x"))
        if len(secret) == 32:
            return Account.from_key(secret)
    except ValueError:
        pass  # reported below
    raise InvalidInput("the private key is not valid: expected 64 hex digits, a number below the order of secp256k1")


def _account(url: str, sender: str) -> str:
    if not sender.isdigit():
        return ethereum(url)(sender)
    accounts = rpc_request(url, "eth_accounts")
    if int(sender) >= len(accounts):
        raise InvalidInput(
            f"{redacted_url(url)} has {len(accounts)} account{'' if len(accounts) == 1 else 's'}, but no number "
            f"{sender}: to sign here, pass --private-key"
        )
    return str(accounts[int(sender)])


def _sign(sending: SendOptions, to: str | None, data: bytes, value: int, request: dict[str, Any]) -> str:
    assert sending.key is not None, "the caller has looked"
    return f"0x{account_of(sending.key).sign(prepared_transaction(sending, to, data, value, request)).raw().hex()}"


def prepared_transaction(
    sending: SendOptions, to: str | None, data: bytes, value: int, request: dict[str, Any]
) -> Transaction:
    """Return an unsigned transaction whose nonce, gas limit and fees come from the node.

    Raises NodeError.
    """
    from bridge.ethereum.addresses import eth_address
    from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction

    url, sender = sending.url, request["from"]
    priority = int(rpc_request(url, "eth_maxPriorityFeePerGas"), 16)
    gas = sending.gas_limit or int(rpc_request(url, "eth_estimateGas", request), 16)
    fee = 2 * int(rpc_request(url, "eth_gasPrice"), 16) + priority
    is_legacy = rpc_request(url, "eth_getBlockByNumber", "latest", False).get("baseFeePerGas") is None  # before London
    return Transaction(
        type=LEGACY if is_legacy else DYNAMIC_FEE,
        chain_id=int(rpc_request(url, "eth_chainId"), 16),
        nonce=int(rpc_request(url, "eth_getTransactionCount", sender, "pending"), 16),
        to=None if to is None else eth_address(bytes.fromhex(to[2:])),
        value=value,
        data=data,
        gas_limit=gas,
        max_fee=fee,
        max_priority_fee=fee if is_legacy else priority,
    )


def _wait_for_receipt(url: str, transaction: str, timeout: float) -> dict[str, Any]:
    deadline, pause = time.monotonic() + timeout, _QUICK
    with status_line(f"{transaction} waits for a block"):
        while True:
            found: dict[str, Any] | None = rpc_request(url, "eth_getTransactionReceipt", transaction)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise NodeError(f"{transaction} has no receipt after {timeout:g} seconds; it may still get one")
            time.sleep(pause)
            pause = min(2 * pause, _SLOW)


def explain_revert(error: NodeError, own: ContractInterface | None, folders: Sequence[Path] | None = None) -> NodeError:
    """Return the error of a reverted request, with the decoded custom error added.

    The contract's own interface is tried first, then those compiled below the folders, since a revert may come from a
    callee.
    """
    from localnet.contracts.artifacts import ArtifactFolders

    data = _revert_data(error.data)
    plain = revert_reason(data)
    text = None if own is None or not data else own.decode_revert(data)
    if data and text in (None, plain):
        others = (found.interface.decode_revert(data) for found in ArtifactFolders(folders).contracts())
        text = next((found for found in others if found != plain), exit_error(data))
    if text is None or text == plain or text in str(error):
        return error
    return NodeError(f"{error}: {text}", error.data, code=error.code, answered=error.answered)


def interfaces_with(own: NamedInterface | None, folders: Sequence[Path] | None = None) -> list[NamedInterface]:
    """Return the known interface, if any, and those compiled below the folders.

    A custom error may come from a callee.
    """
    from localnet.contracts.artifacts import ArtifactFolders
    from localnet.contracts.named_interface import NamedInterface

    compiled = [NamedInterface(found.name, found.interface) for found in ArtifactFolders(folders).contracts()]
    return compiled if own is None else [own, *compiled]


def _revert_data(data: Any) -> bytes:
    try:
        return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    except ValueError:
        return b""


_MAX_NAME_LENGTH: Final = 200
Predicate = Callable[[Any], bool]


def request_trace(url: str, transaction: str) -> dict[str, Any]:
    """Return the response of `hypervisor_trace`. Raises NodeError, also if it is not a call tree."""
    return _check_response(url, rpc_request(url, "hypervisor_trace", transaction), _TRACE)


def request_call_trace(url: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response of `hypervisor_traceCall`; None if the node refuses or lacks the method.

    Raises NodeError if it is not a call tree.
    """
    response = _request_if_known(url, "hypervisor_traceCall", request)
    return None if response is None else _check_response(url, response, _CALL_TRACE)


def _request_if_known(url: str, method: str, parameter: Any) -> Any:
    """Return a response; None if the node refuses or lacks the method. Raises NodeError if it does not answer."""
    try:
        return rpc_request(url, method, parameter)
    except NodeError as error:
        if error.answered:
            return None
        raise


def request_hash(url: str, message: str) -> str | None:
    """Return the transaction hash of a message CID; None if the node has no such message. Raises NodeError."""
    response = rpc_request(url, "Filecoin.EthGetTransactionHashByCid", {"/": message})
    if response is not None and not isinstance(response, str):
        raise NodeError(f"{redacted_url(url)} returned an invalid transaction hash")
    return response


def request_epoch_trace(url: str, epoch: int) -> dict[str, Any]:
    """Return the response of `hypervisor_traceEpoch`. Raises NodeError, also if it is not a call tree."""
    return _check_response(url, rpc_request(url, "hypervisor_traceEpoch", epoch), _EPOCH_TRACE)


def _check_response(url: str, response: Any, fields: Mapping[str, Predicate]) -> dict[str, Any]:
    _check(url, "the response", response, fields)
    calls = list(response["calls"])
    for call in calls:  # iterative, since calls can be 1,024 deep
        _check(url, "a call", call, _CALL)
        calls.extend(call["calls"])
        for event in call["events"]:
            _check(url, "an event", event, _EVENT)
            for entry in event["entries"]:
                _check(url, "an event's entry", entry, _ENTRY)
    found: dict[str, Any] = response
    return found


def request_places(url: str, transaction: str) -> dict[str, Any] | None:
    """Return the response of `hypervisor_tracePlaces`; None if the node refuses or lacks the method.

    Raises NodeError if the response has another shape.
    """
    response = _request_if_known(url, "hypervisor_tracePlaces", transaction)
    if response is None:
        return None
    _check(url, "the response", response, _PLACES)
    calls = list(response["calls"])
    for call in calls:  # iterative, since calls can be 1,024 deep
        _check(url, "a call's location", call, _PLACE)
        if call["code"] is not None and call["code"] >= len(response["codes"]):
            raise NodeError(f"{redacted_url(url)} returned invalid locations of calls: code {call['code']} is missing")
        calls.extend(call["calls"])
    found: dict[str, Any] = response
    return found


def _check(url: str, what: str, value: Any, fields: Mapping[str, Predicate]) -> None:
    if not isinstance(value, dict):
        raise NodeError(f"{redacted_url(url)} returned an invalid call tree: {what} is {value!r:.60}")
    for name, is_valid in fields.items():
        if not is_valid(value.get(name)):
            raise NodeError(
                f"{redacted_url(url)} returned an invalid call tree: '{name}' of {what} is {value.get(name)!r:.60}"
            )


def _is(kind: type) -> Predicate:
    return lambda value: isinstance(value, kind)


def _optional(is_valid: Predicate) -> Predicate:
    return lambda value: value is None or is_valid(value)


def _list_of(is_valid: Predicate) -> Predicate:
    return lambda value: isinstance(value, list) and all(map(is_valid, value))


def _map_of(is_valid: Predicate) -> Predicate:
    return lambda value: isinstance(value, dict) and all(map(is_valid, value.values()))


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode()  # reject lone surrogates


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME_LENGTH and value.isprintable()


def _is_amount(value: Any) -> bool:
    return _is_name(value) and value.isascii() and value.isdigit()


def _is_hex(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.startswith("0x") and bytes.fromhex(value[2:]) is not None
    except ValueError:
        return False


_Fields = Mapping[str, Predicate]
_PLACES: Final[_Fields] = {"codes": _list_of(_is_hex), "calls": _is(list)}
_PLACE: Final[_Fields] = {
    "code": _optional(_is_number),
    "creation": _is(bool),
    **dict.fromkeys(("made", "ended"), _list_of(_is_number)),
    "calls": _is(list),
}
_CALL_TRACE: Final[_Fields] = {
    **dict.fromkeys(("exitCode", "gasUsed"), _is_number),
    "words": _is_text,
    "calls": _is(list),
}
_TRACE: Final[_Fields] = {
    **dict.fromkeys(("transactionHash", "exit"), _is_name),
    "blockNumber": _is_number,
    "reproduced": _is(bool),
    **_CALL_TRACE,
}
_EPOCH_TRACE: Final[_Fields] = {"epoch": _is_number, "reproduced": _is(bool), "calls": _is(list)}
_CALL: Final[_Fields] = {
    **dict.fromkeys(("runtime", "from", "to", "actor", "error"), _is_name),
    **dict.fromkeys(("method", "paramsCodec", "exitCode", "returnCodec", "gas"), _is_number),
    **dict.fromkeys(("params", "return"), _is_hex),
    **dict.fromkeys(("events", "calls"), _is(list)),
    **dict.fromkeys(("address", "code", "name", "schema", "schemaFault"), _optional(_is_name)),
    "value": _is_amount,
    **dict.fromkeys(("abi", "readOnly", "plain"), _is(bool)),
    **dict.fromkeys(("end", "words"), _is_text),
    "charges": _map_of(_is_number),
    "logs": _optional(_list_of(_is_text)),
    "schemas": _optional(_map_of(_is_text)),
}
_EVENT: Final[_Fields] = {"emitter": _is_name, "address": _optional(_is_name), "entries": _is(list)}
_ENTRY: Final[_Fields] = {"flags": _is_number, "codec": _is_number, "key": _is_text, "value": _is_hex}


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
    found = _request_if_known(url, "hypervisor_actorInterface", address)
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
