"""`hypervisor send`: send a transaction that transfers value or calls a contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvm_hypervisor.cli.options import (
    URL,
    Abi,
    Address,
    Arguments,
    Artifacts,
    AsJson,
    From,
    GasLimit,
    Key,
    RpcUrl,
    Timeout,
    Value,
)

if TYPE_CHECKING:
    from fvm_hypervisor.cli.node_client import SendOptions
    from localnet.contracts.named_interface import NamedInterface


def send(
    address: Address,
    function: Annotated[
        str | None,
        typer.Argument(
            metavar="[FUNCTION]", help="Signature name(types), hex calldata, or nothing.", show_default=False
        ),
    ] = None,
    arguments: Arguments = None,
    value: Value = "0",
    sender: From = "0",
    private_key: Key = None,
    gas_limit: GasLimit = None,
    abi: Abi = None,
    artifacts: Artifacts = None,
    timeout: Timeout = 300.0,
    force: Annotated[bool, typer.Option("--force", help="Call a function even if the address has no code.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Also print the call trace.")] = False,
    rpc_url: RpcUrl = URL,
    as_json: AsJson = False,
) -> None:
    """Send a transaction that transfers value or calls a contract's function, and wait for its receipt.

    Without --private-key the node signs for one of its accounts. Exit status 1 if the transaction fails; the call
    trace of the failure is printed. A function call to an address without code is refused unless --force is given.

    Example: hypervisor send f1nqjo... --value 1.5fil

    Example: hypervisor send 0x5fbd... 'put(uint256)' 3 --value 20nanofil

    Example: hypervisor send 0x5fbd... put 3 --abi Vault --trace

    Example: hypervisor send 0x5fbd... 'set(int256)' -- -5
    """
    from fvm_hypervisor.cli.call import contract_name, interface_of
    from fvm_hypervisor.cli.node_client import (
        SendOptions,
        ethereum,
        explain_revert,
        failure_lines,
        interfaces_with,
        print_outcome,
        send_transaction,
    )
    from hypervisor.errors import InvalidInput
    from localnet.contracts.amounts import payment
    from localnet.contracts.argument_texts import calldata_of
    from localnet.contracts.named_interface import NamedInterface
    from localnet.fork.node_client import NodeError

    read, interface, data = ethereum(rpc_url), None, b""
    if function is not None and function.startswith("0x"):
        try:
            data = bytes.fromhex(function[2:])
        except ValueError:
            raise InvalidInput(
                f"{function!r:.60} is not calldata: expected 0x and an even number of hex digits"
            ) from None
        if arguments:
            raise InvalidInput("calldata contains its arguments: omit the others")
    elif function is not None:
        interface, name = interface_of(function, abi, artifacts)
        data = calldata_of(interface, name, arguments or [], read)
    sending, amount = SendOptions(rpc_url, sender, private_key, gas_limit, timeout), payment(value)
    own = None if interface is None else NamedInterface(contract_name(abi), interface)
    receiver = read(address)
    if interface is not None and not force:
        _check_receiver(rpc_url, receiver, data)
    try:
        receipt = send_transaction(sending, receiver, data, amount)
    except NodeError as error:
        if trace and error.answered and not as_json:
            _print_refused_calls(sending, receiver, data, amount, interfaces_with(own, artifacts))
        raise explain_revert(error, interface, artifacts) from None
    failure = []
    if int(receipt["status"], 16) != 1:
        failure = failure_lines(rpc_url, receipt["transactionHash"], interfaces_with(own, artifacts))
    try:
        print_outcome(rpc_url, receipt, failure, as_json)
    finally:
        if trace and not as_json:
            _print_calls(rpc_url, receipt["transactionHash"], own, artifacts)


def _check_receiver(url: str, receiver: str, data: bytes) -> None:
    """Raise NodeError if a function is called at an address without code, except for built-in actors."""
    from fvm_hypervisor.cli.call import has_code, no_code_text
    from fvm_hypervisor.cli.rpc_client import rpc_request
    from localnet.fork.node_client import NodeError

    if has_code(url, receiver):
        return
    try:
        response = rpc_request(url, "eth_call", {"to": receiver, "data": f"0x{data.hex()}"}, "latest")
    except NodeError:
        return  # sending reports the error
    if response == "0x":
        raise NodeError(f"{no_code_text(url, receiver)}; --force sends it anyway")


def _print_refused_calls(
    sending: SendOptions, to: str, data: bytes, value: int, interfaces: Sequence[NamedInterface]
) -> None:
    """Print the call tree of a transaction that was never sent because its gas estimate failed."""
    from fvm_hypervisor.cli.node_client import request_of
    from fvm_hypervisor.cli.trace_client import request_call_trace

    found = request_call_trace(sending.url, request_of(sending, to, data, value))
    if found is not None and found["calls"]:
        _print_tree(found, interfaces)


def _print_calls(url: str, transaction: str, own: NamedInterface | None, artifacts: Sequence[Path] | None) -> None:
    """Print the call tree of a transaction. Artifacts with the code of a called contract name it."""
    from fvm_hypervisor.cli.trace_client import request_places, request_trace
    from localnet.contracts.artifacts import ArtifactFolders
    from localnet.contracts.named_interface import NamedInterface
    from localnet.traces.call_places import add_lines

    folders = ArtifactFolders(artifacts)
    compiled = folders.contracts()
    found, interfaces = request_trace(url, transaction), [] if own is None else [own]
    places = request_places(url, transaction) if compiled else None
    if places is not None:
        found, named = add_lines(found, places, folders)
        interfaces += named
    _print_tree(found, [*interfaces, *(NamedInterface(each.name, each.interface) for each in compiled)])


def _print_tree(found: dict[str, Any], interfaces: Sequence[NamedInterface]) -> None:
    from localnet.traces.call_text import call_lines, tree_console
    from localnet.traces.trace_report import decode_calls

    tree_console().print(call_lines(decode_calls(found["calls"], interfaces)))
