"""`hypervisor call`: what a contract's function answers, with nothing kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devtools.cli.options import URL, Abi, Address, Arguments, Artifacts, AsJson, Function, RpcUrl, Value

if TYPE_CHECKING:
    from bridge.abi import ContractInterface


def call(
    address: Address,
    function: Function,
    arguments: Arguments = None,
    abi: Abi = None,
    artifacts: Artifacts = None,
    value: Value = "0",
    sender: Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="Who calls.")] = None,
    block: Annotated[str, typer.Option(metavar="BLOCK", help="A number, or latest.")] = "latest",
    rpc_url: RpcUrl = URL,
    as_json: AsJson = False,
) -> None:
    """Show what a function of a contract answers; nothing is kept. One line for each value.

    Exit status 1 where the call fails.

    Example: hypervisor call 0x5fbd... 'balanceOf(address)(uint256)' f0100

    Example: hypervisor call f410f... held 0xf39f... --abi Vault
    """
    from devtools.cli.amounts import attofil
    from devtools.cli.node_client import ethereum
    from devtools.cli.signatures import as_plain, encoded

    read = ethereum(rpc_url)
    interface, name = interface_of(function, abi, artifacts)
    data = encoded(interface, name, arguments or [], read)
    request = {"to": read(address), "data": f"0x{data.hex()}", "value": hex(attofil(value))}
    if sender is not None:
        request["from"] = read(sender)
    height = hex(int(block)) if block.isascii() and block.isdigit() and len(block) < 20 else block
    answer = as_plain(_answer(rpc_url, interface, data, request, height))
    if as_json:
        typer.echo(json.dumps({"answer": answer}))
        return
    several = len(_outputs(interface, data)) > 1
    for item in answer if several else [answer]:
        if item is not None:
            typer.echo(item if isinstance(item, str) else json.dumps(item))


def interface_of(function: str, abi: str | None, artifacts: Any) -> tuple[ContractInterface, str]:
    """The interface that a function is looked up in, and the function's name there. Raises InvalidInput."""
    from devtools.cli.signatures import signature_interface
    from hypervisor.errors import InvalidInput
    from localnet.artifacts import find_artifact

    if abi is not None:
        return find_artifact(abi, artifacts).interface, function
    if "(" not in function:
        raise InvalidInput(f"{function!r:.60} has no types: write {function}(types)(types returned), or name --abi")
    return signature_interface(function)


def contract_name(abi: str | None) -> str:
    """What a contract is called whose interface `--abi` names, or nobody."""
    return "contract" if abi is None else Path(abi).stem.rpartition(":")[2]


def revert_words(interface: ContractInterface, error: Any) -> str | None:
    """The reason of a failed request by an interface's own errors; None where it has nothing to add."""
    from bridge.reverts import revert_reason

    if not isinstance(error.data, str) or not error.data.startswith("0x"):
        return None
    try:
        data = bytes.fromhex(error.data[2:])
    except ValueError:
        return None
    words = interface.decode_revert(data) if data else ""
    return words if words and words != revert_reason(data) else None


def _answer(url: str, interface: ContractInterface, data: bytes, request: dict[str, str], block: str) -> Any:
    from bridge.abi import AbiMismatch
    from devtools.cli.rpc_client import ask
    from localnet.node_client import NodeError

    try:
        answer = ask(url, "eth_call", request, block)
    except NodeError as error:
        words = revert_words(interface, error)
        raise error if words is None else NodeError(f"{error}: {words}") from None
    try:
        return interface.decode_answer(data, bytes.fromhex(answer[2:]))
    except (AbiMismatch, ValueError, TypeError) as error:
        if answer == "0x" and ask(url, "eth_getCode", request["to"], block) == "0x":
            raise NodeError(f"there is no contract at {request['to']}") from None
        raise NodeError(f"the answer {answer!r:.80} is none of the function's: {error}") from None


def _outputs(interface: ContractInterface, data: bytes) -> list[Any]:
    name = interface.function_name(data)
    fitting = [entry for entry in interface.abi if entry["type"] == "function" and entry["name"] == name]
    return list(fitting[0]["outputs"]) if len(fitting) == 1 else []
