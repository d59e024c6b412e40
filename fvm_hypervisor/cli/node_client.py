"""Functions shared by commands that use a node: addresses in every form, sending and waiting."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bridge.ethereum.reverts import exit_error, revert_reason
from fvm_hypervisor.cli.options import URL, URL_VARIABLE
from fvm_hypervisor.cli.progress import status_line
from fvm_hypervisor.cli.rpc_client import rpc_request
from fvm_hypervisor.cli.trace_client import request_trace
from hypervisor.errors import InvalidInput
from localnet.fork.node_client import NodeError, redacted_url
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
    """Sign a transaction with the sender's key and return it as hex."""
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
