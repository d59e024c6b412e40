"""`hypervisor call`: call a contract's function without a transaction."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fvm_hypervisor.cli.options import (
    RESPONSE_TIME,
    URL,
    Abi,
    Address,
    Arguments,
    Artifacts,
    AsJson,
    Function,
    ResponseTimeout,
    RpcUrl,
    Value,
)

if TYPE_CHECKING:
    from bridge.abi.abi import ContractInterface

_HEX: Final = re.compile("0x(?:[0-9a-f]{2})*", re.IGNORECASE)


def call(
    address: Address,
    function: Function,
    arguments: Arguments = None,
    abi: Abi = None,
    artifacts: Artifacts = None,
    value: Value = "0",
    sender: Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="Caller address.")] = None,
    block: Annotated[str, typer.Option(metavar="BLOCK", help="Block number, or latest.")] = "latest",
    rpc_url: RpcUrl = URL,
    timeout: ResponseTimeout = RESPONSE_TIME,
    as_json: AsJson = False,
) -> None:
    """Call a function of a contract without a transaction, and print each return value on a line.

    Without return types and without --abi, the return data is printed in hex. Exit status 1 if the call reverts or
    the address has no code.

    Example: hypervisor call 0x5fbd... 'balanceOf(address)(uint256)' f0100

    Example: hypervisor call f410f... held 0xf39f... --abi Vault
    """
    from fvm_hypervisor.cli.node_client import ethereum, explain_revert
    from localnet.contracts.amounts import payment
    from localnet.contracts.argument_texts import as_plain, calldata_of
    from localnet.fork.node_client import NodeError

    read = ethereum(rpc_url)
    interface, name = interface_of(function, abi, artifacts)
    data = calldata_of(interface, name, arguments or [], read)
    request = {"to": read(address), "data": f"0x{data.hex()}", "value": hex(payment(value))}
    if sender is not None:
        request["from"] = read(sender)
    height = hex(int(block)) if block.isascii() and block.isdigit() and len(block) < 20 else block
    try:
        raw = _request_call(rpc_url, request, height)
    except NodeError as error:
        raise explain_revert(error, interface, artifacts) from None
    outputs = _outputs(interface, data)
    result = raw if outputs is None else as_plain(_decode(interface, data, raw))
    if as_json:
        typer.echo(json.dumps({"answer": result}))
        return
    for item in result if outputs is not None and len(outputs) > 1 else [result]:
        if item is not None:
            typer.echo(item if isinstance(item, str) else json.dumps(item))


def interface_of(function: str, abi: str | None, artifacts: Any) -> tuple[ContractInterface, str]:
    """Return an interface with the function (from `--abi` or its signature), and its name. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput
    from localnet.contracts.argument_texts import signature_interface
    from localnet.contracts.artifacts import find_artifact

    if abi is not None:
        return find_artifact(abi, artifacts).interface, function
    if "(" not in function:
        raise InvalidInput(
            f"{function!r:.60} has no types: write {function}(types)(return types), or pass --abi; to call a native "
            "actor, use `hypervisor actor call`"
        )
    return signature_interface(function)


def contract_name(abi: str | None) -> str:
    """Return the name of the contract whose interface `--abi` gives, or "contract" without it."""
    return "contract" if abi is None else Path(abi).stem.rpartition(":")[2]


def has_code(url: str, address: str, block: str = "latest") -> bool:
    """Return True if eth_getCode returns code at an address; built-in actors and precompiles have none."""
    from fvm_hypervisor.cli.rpc_client import rpc_request

    return bool(rpc_request(url, "eth_getCode", address, block) != "0x")


def no_code_text(url: str, address: str) -> str:
    """Return the error text for calling a function at an address without code."""
    from localnet.fork.node_client import redacted_url

    return f"there is no code at {address} on {redacted_url(url)}, so its functions cannot be called"


def _request_call(url: str, request: dict[str, str], block: str) -> str:
    """Return the data that a call returned. Raises NodeError."""
    from fvm_hypervisor.cli.rpc_client import rpc_request
    from localnet.fork.node_client import NodeError, redacted_url

    result = rpc_request(url, "eth_call", request, block)
    if result == "0x" and not has_code(url, request["to"], block):
        raise NodeError(no_code_text(url, request["to"]))
    if not isinstance(result, str) or not _HEX.fullmatch(result):
        raise NodeError(f"{redacted_url(url)} returned {result!r:.80} for eth_call: expected hex data")
    return result


def _decode(interface: ContractInterface, data: bytes, result: str) -> Any:
    from bridge.abi.abi import AbiMismatch
    from localnet.fork.node_client import NodeError

    try:
        return interface.decode_call_result(data, bytes.fromhex(result[2:]))
    except AbiMismatch as error:
        raise NodeError(f"the return data {result!r:.80} does not match the function's return types: {error}") from None


def _outputs(interface: ContractInterface, data: bytes) -> list[Any] | None:
    """Return the ABI types that the called function returns; None if its signature does not name them."""
    found = interface.read_call(data)
    return None if found is None else found[0].get("outputs")
