"""`hypervisor deploy`: a compiled contract onto a network."""

from __future__ import annotations

from typing import Annotated

import typer

from devtools.cli.options import URL, Artifacts, AsJson, From, GasLimit, Key, RpcUrl, Timeout, Value


def deploy(
    artifact: Annotated[
        str,
        typer.Argument(metavar="ARTIFACT", help="A compiler's JSON file, or a contract's name.", show_default=False),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="The constructor's arguments.", show_default=False)
    ] = None,
    value: Value = "0",
    sender: From = "0",
    private_key: Key = None,
    gas_limit: GasLimit = None,
    artifacts: Artifacts = None,
    timeout: Timeout = 300.0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a node that is starting, as long as --timeout.")
    ] = False,
    rpc_url: RpcUrl = URL,
    as_json: AsJson = False,
) -> None:
    """Deploy a compiled contract, of solc, forge or Hardhat. A node of ours knows its names then, in traces and pages.

    Addresses may be f0... to f4..., t0... to t4... or 0x...; amounts 1.5fil; lists [1,2]; tuples (1,0x02). Negative
    numbers need -- before the arguments.

    Example: hypervisor deploy Counter

    Example: hypervisor deploy out/Vault.sol/Vault.json 1.5fil f0100 --value 2fil
    """
    from bridge.addresses import eth_address, to_filecoin
    from devtools.cli.node_client import (
        SendOptions,
        await_node,
        ethereum,
        failure_lines,
        make_known,
        print_outcome,
        send_transaction,
    )
    from devtools.cli.reverts import explain_revert, interfaces_with
    from localnet.contracts.amounts import payment
    from localnet.contracts.argument_texts import init_code_of
    from localnet.contracts.artifacts import find_artifact
    from localnet.contracts.named_interface import NamedInterface
    from localnet.fork.node_client import NodeError

    found, money = find_artifact(artifact, artifacts), payment(value)
    if wait:
        await_node(rpc_url, timeout)
    init_code = init_code_of(found.interface, found.bytecode, arguments or [], ethereum(rpc_url))
    sending = SendOptions(rpc_url, sender, private_key, gas_limit, timeout)
    try:
        receipt = send_transaction(sending, None, init_code, money)
    except NodeError as error:
        raise explain_revert(error, found.interface, artifacts) from None
    if int(receipt["status"], 16) != 1:
        make_known(rpc_url, found.interface.abi, found.name)  # its page has the constructor's own errors then
        known = interfaces_with(NamedInterface(found.name, found.interface), artifacts)
        print_outcome(rpc_url, receipt, failure_lines(rpc_url, receipt["transactionHash"], known), as_json)
    address = str(receipt["contractAddress"])
    make_known(rpc_url, found.interface.abi, found.name, address)
    native = to_filecoin(eth_address(bytes.fromhex(address[2:])))
    print_outcome(rpc_url, receipt, (), as_json, contract=found.name, address=address, native=str(native))
