"""`hypervisor profile`: profile a transaction's gas and time by function of native actors and by syscall."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fvm_hypervisor.cli.options import RESPONSE_TIME, URL, AsJson, ResponseTimeout, RpcUrl


def profile(
    transaction: Annotated[
        str, typer.Argument(metavar="TXHASH", help="Transaction hash or message CID.", show_default=False)
    ],
    rpc: RpcUrl = URL,
    timeout: ResponseTimeout = RESPONSE_TIME,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of a chain, instead of a node.")] = None,
    flame: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a flame graph of gas, as .svg or .html."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Profile the gas of native actors by function and syscall, exclusive and inclusive of calls.

    The transaction is re-executed on its original state. Gas is exact. Time is measured for syscalls and distributed
    by gas for the code between them. Function names need the module's custom section `name`; in Rust set `strip =
    "debuginfo"`. A call to another actor appears below the `send::send` that made it.

    Example: hypervisor profile 0x67ad... --flame profile.svg
    """
    from fvm_hypervisor.cli.trace import parse_transaction_reference
    from localnet.traces.guest_profile import profile_lines, save_profile_flame

    wanted = parse_transaction_reference(transaction)
    found = _profile_of_folder(state, wanted) if state else _profile_of_node(rpc, wanted)
    if flame is not None:
        save_profile_flame(found, flame)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in profile_lines(found):
        typer.echo(line)


def _profile_of_folder(folder: Path, wanted: bytes | str) -> dict[str, Any]:
    from fvm_hypervisor.cli.folders import open_chain
    from fvm_hypervisor.cli.trace import transaction_of

    with open_chain(folder, read_only=True) as network:
        return network.profile(transaction_of(network, wanted)).as_json()


def _profile_of_node(url: str, wanted: bytes | str) -> dict[str, Any]:
    from fvm_hypervisor.cli.rpc_client import rpc_request
    from fvm_hypervisor.cli.trace import hash_at_node
    from localnet.fork.node_client import NodeError, redacted_url
    from localnet.traces.guest_profile import check_profile

    found = rpc_request(url, "hypervisor_profile", hash_at_node(url, wanted))
    try:
        return check_profile(found)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NodeError(
            f"{redacted_url(url)} returned an invalid profile: {type(error).__name__} in {found!r:.60}"
        ) from None
