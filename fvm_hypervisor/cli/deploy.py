"""`hypervisor deploy`: deploy a compiled contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvm_hypervisor.cli.options import URL, Artifacts, AsJson, From, GasLimit, Key, RpcUrl, Timeout, Value

if TYPE_CHECKING:
    from fvm_hypervisor.cli.node_client import SendOptions
    from localnet.contracts.named_interface import NamedInterface


def deploy(
    artifact: Annotated[
        str,
        typer.Argument(metavar="ARTIFACT", help="Compiler JSON file or contract name.", show_default=False),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="Constructor arguments.", show_default=False)
    ] = None,
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
    from fvm_hypervisor.cli.node_client import SendOptions, await_node, ethereum, print_outcome
    from localnet.contracts.amounts import payment
    from localnet.contracts.argument_texts import init_code_of
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
    from fvm_hypervisor.cli.node_client import (
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
