"""`hypervisor explore`: serve the explorer for a chain's folder without running a node on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.folders import Folder
from fvm_hypervisor.cli.options import Engines, available_engine


def explore(
    folder: Folder,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="PORT", help="Port; 0 selects a free port.")
    ] = 0,
    evm: Annotated[
        Engines | None,
        typer.Option(
            callback=available_engine, help="EVM engine that executed the chain (default: as in `hypervisor node`)."
        ),
    ] = None,
    artifacts: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder of compiled contracts (default: out, artifacts)."),
    ] = None,
    index: Annotated[
        bool, typer.Option("--index", help="Store an index by address and topic in the folder, to find old messages.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the first page in a browser.")] = False,
) -> None:
    """Serve the explorer for a chain's folder until interrupted. A node may have the folder open.

    The chain is shown as of the start. The node's RPC methods are served too, but no account signs, and changes by
    clients stay in memory. The folder is not written, except for the index of --index.

    Example: hypervisor explore chain
    """
    from functools import partial

    from fvm_hypervisor.cli.folders import open_chain
    from fvm_hypervisor.cli.node_vectors import vector_of
    from fvm_hypervisor.explorer.application import explorer
    from fvm_hypervisor.verification.sources import source_of
    from fvm_hypervisor.verification.store import VerifiedContracts
    from localnet.ledger.address_index import FILE, AddressIndex
    from localnet.rpc.server import Server

    with open_chain(folder, evm=evm, read_only=True) as network:
        network.automine = False
        addresses = AddressIndex(folder / FILE) if index else None
        verified = VerifiedContracts(folder)
        pages = explorer(
            artifacts, lambda wanted: vector_of(server.url, wanted, network.overlay), partial(source_of, verified)
        )
        server = Server(network, port, signs=False, pages=pages, addresses=addresses)

        def announce() -> None:
            typer.echo(f"Explorer at {server.url}/ (chain id {network.chain_id}, block {network.block_number})")
            if open_page:
                import webbrowser

                webbrowser.open(f"{server.url}/")

        server.run(announce)
