"""`hypervisor deploy`, `call`, `send` and `balance`: contracts and accounts on a node."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import (
    RESPONSE_TIME,
    URL,
    Abi,
    Address,
    Arguments,
    Artifacts,
    AsJson,
    From,
    Function,
    GasLimit,
    Key,
    ResponseTimeout,
    RpcUrl,
    Timeout,
    Value,
)

if TYPE_CHECKING:
    from bridge.abi.abi import ContractInterface
    from hypervisor_tools.cli.node_client import SendOptions
    from localnet.contracts.named_interface import NamedInterface


def deploy(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Compiler JSON file or contract name.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...", help="Constructor arguments.")] = None,
    value: Value = "0",
    sender: From = "0",
    private_key: Key = None,
    gas_limit: GasLimit = None,
    artifacts: Artifacts = None,
    timeout: Timeout = 300.0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait up to --timeout for the node to start.")] = False,
    rpc_url: RpcUrl = URL,
    as_json: AsJson = False,
) -> None:
    """Deploy a contract compiled by solc, forge or Hardhat.

    A `hypervisor node` then decodes its calls in traces and in the explorer.

    Addresses have the form f0... to f4..., t0... to t4... or 0x...; amounts 1.5fil; lists [1,2]; tuples (1,0x02). Put
    -- before negative numbers.

    Example: hypervisor deploy Counter

    Example: hypervisor deploy out/Vault.sol/Vault.json 1.5fil f0100 --value 2fil
    """
    from bridge.ethereum.addresses import eth_address, to_filecoin
    from hypervisor_tools.cli.node_client import SendOptions, await_node, ethereum, print_outcome
    from localnet.contracts.argument_texts import init_code_of, payment
    from localnet.contracts.artifacts import find_artifact
    from localnet.contracts.named_interface import NamedInterface

    found, amount = find_artifact(artifact, artifacts), payment(value)
    if wait:
        await_node(rpc_url, timeout)
    init_code = init_code_of(found.interface, found.bytecode, arguments or [], ethereum(rpc_url))
    sending = SendOptions(rpc_url, sender, private_key, gas_limit, timeout)
    contract = NamedInterface(found.name, found.interface)
    receipt = deploy_contract(sending, contract, init_code, amount, artifacts, as_json=as_json)
    address = str(receipt["contractAddress"])
    native = to_filecoin(eth_address(bytes.fromhex(address[2:])))
    print_outcome(rpc_url, receipt, (), as_json, contract=found.name, address=address, native=str(native))


def deploy_contract(
    sending: SendOptions,
    contract: NamedInterface,
    init_code: bytes,
    value: int,
    artifacts: Sequence[Path] | None,
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Deploy a contract, register its interface with the node and return the receipt.

    Prints a failed creation and exits with status 1. Raises NodeError with the decoded constructor error; the
    contract's interface and those below `artifacts` are searched.
    """
    from hypervisor_tools.cli.node_client import (
        explain_revert,
        failure_lines,
        interfaces_with,
        print_outcome,
        register_abi,
        send_transaction,
    )
    from localnet.fork.node_client import NodeError

    url, abi = sending.url, contract.interface.abi
    try:
        receipt = send_transaction(sending, None, init_code, value)
    except NodeError as error:
        raise explain_revert(error, contract.interface, artifacts) from None
    if int(receipt["status"], 16) != 1:
        register_abi(url, abi, contract.name)  # lets the explorer decode errors of the constructor
        known = interfaces_with(contract, artifacts)
        print_outcome(url, receipt, failure_lines(url, receipt["transactionHash"], known), as_json)
    register_abi(url, abi, contract.name, str(receipt["contractAddress"]))
    return receipt


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
    from hypervisor_tools.cli.node_client import ethereum, explain_revert
    from localnet.contracts.argument_texts import as_plain, calldata_of, payment
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
    known = interface.read_call(data)
    outputs = None if known is None else known[0].get("outputs")  # None if the signature does not name them
    result = raw if outputs is None else as_plain(_decode(interface, data, raw))
    if as_json:
        typer.echo(json.dumps({"answer": result}))
        return
    for item in result if outputs is not None and len(outputs) > 1 else [result]:
        if item is not None:
            typer.echo(item if isinstance(item, str) else json.dumps(item))


def interface_of(function: str, abi: str | None, artifacts: Any) -> tuple[ContractInterface, str]:
    """Return an interface with the function (from `--abi` or its signature), and its name. Raises InvalidInput."""
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
    from hypervisor_tools.cli.rpc_client import rpc_request

    return bool(rpc_request(url, "eth_getCode", address, block) != "0x")


def no_code_text(url: str, address: str) -> str:
    """Return the error text for calling a function at an address without code."""
    from localnet.fork.urls import redacted_url

    return f"there is no code at {address} on {redacted_url(url)}, so its functions cannot be called"


def _request_call(url: str, request: dict[str, str], block: str) -> str:
    from hypervisor_tools.cli.rpc_client import rpc_request
    from localnet.fork.node_client import NodeError
    from localnet.fork.urls import redacted_url

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


def send(
    address: Address,
    function: Annotated[
        str | None, typer.Argument(metavar="[FUNCTION]", help="Signature name(types), hex calldata, or nothing.")
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
    from hypervisor_tools.cli.node_client import (
        SendOptions,
        ethereum,
        explain_revert,
        failure_lines,
        interfaces_with,
        print_outcome,
        send_transaction,
    )
    from localnet.contracts.argument_texts import calldata_of, payment
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
    from hypervisor_tools.cli.rpc_client import rpc_request
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
    from hypervisor_tools.cli.node_client import request_call_trace, request_of

    found = request_call_trace(sending.url, request_of(sending, to, data, value))
    if found is not None and found["calls"]:
        _print_tree(found, interfaces)


def _print_calls(url: str, transaction: str, own: NamedInterface | None, artifacts: Sequence[Path] | None) -> None:
    """Print the call tree of a transaction. Artifacts with the code of a called contract name it."""
    from hypervisor_tools.cli.node_client import request_places, request_trace
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


def balance(
    address: Address,
    block: Annotated[str | None, typer.Option(metavar="BLOCK", help="Block number (not for f1, f2, f3).")] = None,
    rpc_url: RpcUrl = URL,
    timeout: ResponseTimeout = RESPONSE_TIME,
    as_json: AsJson = False,
) -> None:
    """Show the balance of an account, a contract or a built-in actor.

    Example: hypervisor balance f0100

    Example: hypervisor balance 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266 --json
    """
    from bridge.ethereum.addresses import from_delegated
    from hypervisor.text import show_fil
    from hypervisor_tools.cli.node_client import ethereum, request_of_actor
    from hypervisor_tools.cli.rpc_client import rpc_request
    from localnet.addresses import filecoin_address

    parsed = filecoin_address(address)
    if block is None and from_delegated(parsed) is None:  # it may have no Ethereum address yet
        amount = int(request_of_actor(rpc_url, address, "Filecoin.WalletBalance", str(parsed)))
    elif block is None or (block.isascii() and block.isdigit() and len(block) < 20):
        height = "latest" if block is None else hex(int(block))
        amount = int(rpc_request(rpc_url, "eth_getBalance", ethereum(rpc_url)(address), height), 16)
    else:
        raise InvalidInput(f"{block!r:.60} is not a block's number")
    if as_json:
        typer.echo(
            json.dumps({"address": address, "attofil": str(amount), "fil": show_fil(amount).removesuffix(" FIL")})
        )
        return
    typer.echo(show_fil(amount) if amount else "0 FIL")
