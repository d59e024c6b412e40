"""`hypervisor balance`: the balance of an address."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import RESPONSE_TIME, URL, Address, AsJson, ResponseTimeout, RpcUrl


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
    from fvm_hypervisor.cli.node_client import ethereum, request_of_actor
    from fvm_hypervisor.cli.rpc_client import rpc_request
    from hypervisor.errors import InvalidInput
    from hypervisor.text import show_fil
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
