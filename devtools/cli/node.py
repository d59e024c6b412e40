"""`hypervisor node`: a local network on a port of this machine."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from localnet import Network

_UPGRADE = "Become another network version after an epoch, with this bundle's actors from then on; may be repeated."
_FACADE = "Let contracts call built-in actors by their Solidity interfaces, which no real network does."
_NEW_FOLDER = "Keep the chain in this folder, and go on with what it holds (default: in memory)."


def node(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port, on 127.0.0.1; 0 takes a free one.")] = 8545,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help=_NEW_FOLDER)] = None,
    bundle: Annotated[
        str | None, typer.Option(metavar="CAR|vN", help="An official bundle of built-in actors (default: our own).")
    ] = None,
    evm: Annotated[
        Literal["official", "py-evm"] | None,
        typer.Option(help="Who runs contracts (default: official where the bundle has an EVM actor, else py-evm)."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="nvN", help="The network version of a new chain (default: the newest).")
    ] = None,
    upgrade: Annotated[list[str] | None, typer.Option(metavar="nvN@EPOCH[=BUNDLE]", help=_UPGRADE)] = None,
    abi_facade: Annotated[bool, typer.Option("--abi-facade", help=_FACADE)] = False,
    ready_file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write the URL to this file once requests are answered.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Answer requests to this host name, too; * is any.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Answer pages of this origin, too; * is any.")
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Print nothing.")] = False,
) -> None:
    """Run a local network that Ethereum's tools can talk to.

    Ten accounts with 10,000 FIL each are unlocked. Their keys are known to everybody: use them here only. In a folder
    (--state), a transaction that has a receipt is kept, whatever happens to the process. Each transaction is printed in
    a line when it has one. Storage proofs are taken for valid unseen.

    --bundle takes a CAR file, or a release that `hypervisor bundle fetch` got.

    Example: hypervisor node --bundle v18-devnet --state chain
    """
    from devtools.cli.progress import words_line
    from hypervisor.opening import AUTO, IN_MEMORY
    from localnet.network import Network
    from localnet.rpc.access import Access
    from localnet.rpc.server import Server
    from localnet.rpc.server import ready_file as written

    version = None if network is None else _network_version(network)
    upgrades = dict(_planned(entry) for entry in upgrade or ())
    if silent:
        logging.disable(logging.WARNING)  # of requests that are no HTTP; a defect is still told
    with nullcontext() if silent else words_line("starting (what is new on this machine is compiled first)"):
        opened = Network(
            IN_MEMORY if state is None else state,
            bundle=bundle,
            evm=evm or AUTO,
            network=version,
            upgrades=upgrades,
            facade=abi_facade,
        )
    with opened:
        server = Server(opened, port, access=Access(tuple(allow_host or ()), tuple(allow_origin or ())))
        with written(ready_file, server.url) as write_url:

            def announce() -> None:
                if not silent:
                    _print_accounts(opened)
                    _print_transactions()
                    typer.echo(f"\nListening on {server.url} (chain id {opened.chain_id}, block {opened.block_number})")
                write_url()

            server.run(announce)


def _network_version(name: str) -> int:
    from hypervisor.errors import InvalidInput

    number = name.removeprefix("nv")
    if not number.isascii() or not number.isdigit():
        raise InvalidInput(f"'{name}' is no network version: expected nv28, for example")
    return int(number)


def _planned(entry: str) -> tuple[int, int | tuple[int, str]]:
    """The epoch of `nv28@1000` or `nv28@1000=v18-devnet`, and what comes behind it."""
    from hypervisor.errors import InvalidInput

    planned, with_bundle, bundle = entry.partition("=")
    name, at, epoch = planned.partition("@")
    if not at or not epoch.isascii() or not epoch.isdigit() or (with_bundle and not bundle):
        raise InvalidInput(f"'{entry}' is no upgrade: expected nv28@1000 or nv28@1000=v18-devnet, for example")
    version = _network_version(name)
    return int(epoch), (version, bundle) if bundle else version


def _print_transactions() -> None:
    """Print what the network logs: each transaction that has a receipt."""
    logging.raiseExceptions = False  # the node goes on where nobody reads any more
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("localnet.network")
    log.setLevel(logging.INFO)
    log.addHandler(handler)


def _print_accounts(network: Network) -> None:
    typer.echo("Accounts (10,000 FIL at first under each address; the keys are public: never use them elsewhere)\n")
    for number, account in enumerate(network.accounts):
        typer.echo(f"({number}) 0x{account.address.hex()}  {account.native}")
        typer.echo(f"    key 0x{account.private_key.hex()}")
