"""Options of `hypervisor node` for forks of other networks, with anvil's names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from localnet.fork.forking import ForkSource

_PANEL: Final = "Forks"

ForkUrl = Annotated[
    str | None,
    typer.Option(
        "--fork-url",
        "--rpc-url",
        "-f",
        metavar="URL[@BLOCK]",
        rich_help_panel=_PANEL,
        help="Fork the network of this node: a Filecoin node, or with --rules ethereum any Ethereum node. "
        "State is fetched on first use.",
    ),
]
ForkBlock = Annotated[
    int | None,
    typer.Option(
        "--fork-block-number",
        "--fork-epoch",
        metavar="N",
        rich_help_panel=_PANEL,
        help="Block or epoch to fork at (default: the head); negative numbers count back from the head.",
    ),
]
ForkHeaders = Annotated[
    list[str] | None,
    typer.Option(
        "--fork-header",
        metavar="'NAME: VALUE'",
        rich_help_panel=_PANEL,
        help="HTTP header for requests to the forked node; repeatable.",
    ),
]
Timeout = Annotated[
    int,
    typer.Option(
        "--timeout",
        min=1,
        metavar="MS",
        rich_help_panel=_PANEL,
        help="Timeout of requests to the forked node in milliseconds.",
    ),
]
RetryCount = Annotated[
    int,
    typer.Option(
        "--retries",
        "--fork-retries",
        min=0,
        max=100,
        metavar="N",
        rich_help_panel=_PANEL,
        help="Number of retries of a rate-limited or dropped request.",
    ),
]
RetryBackoff = Annotated[
    int,
    typer.Option(
        "--fork-retry-backoff",
        min=0,
        metavar="MS",
        rich_help_panel=_PANEL,
        help="Delay before the first retry in milliseconds. It doubles each time, unless the node requests"
        " another delay.",
    ),
]
ComputeUnits = Annotated[
    int,
    typer.Option(
        "--compute-units-per-second",
        min=1,
        metavar="CUPS",
        rich_help_panel=_PANEL,
        help="Compute units per second, 17 per request. Applies after the node first rate-limits a request.",
    ),
]
NoRateLimit = Annotated[
    bool,
    typer.Option(
        "--no-rate-limit",
        "--no-rpc-rate-limit",
        rich_help_panel=_PANEL,
        help="Disable the limit on requests to the forked node.",
    ),
]
ForkChainId = Annotated[
    int | None,
    typer.Option(
        "--fork-chain-id",
        metavar="ID",
        rich_help_panel=_PANEL,
        help="Chain ID of the forked network (default: the node reports it). --chain-id sets that of this network.",
    ),
]
ForkTransaction = Annotated[
    str | None,
    typer.Option(
        "--fork-transaction-hash",
        metavar="HASH",
        rich_help_panel=_PANEL,
        help="With --rules ethereum: fork after this transaction instead of a block.",
    ),
]
NoStorageCaching = Annotated[
    bool,
    typer.Option(
        "--no-storage-caching",
        rich_help_panel=_PANEL,
        help="Do not cache responses on disk. Those of local nodes are cached with --state only.",
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        rich_help_panel=_PANEL,
        help="Read the fork from the cache only: no request is sent to its node.",
    ),
]


def fork_source(
    url: str | None,
    block: int | None,
    silent: bool,
    *,
    transaction: str | None,
    chain_id: int | None,
    headers: list[str] | None,
    timeout: int,
    retries: int,
    backoff: int,
    compute_units: int | None,
    caches: bool | None,
    offline: bool,
) -> ForkSource | None:
    """Return the fork that the options select, or None. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput

    if url is None:
        if block is not None or transaction is not None:
            raise InvalidInput("a block to fork at needs a node: pass --fork-url")
        if offline:
            raise InvalidInput("--offline reads a fork from the cache: pass --fork-url too")
        if chain_id is not None:
            raise InvalidInput(f"--fork-chain-id {chain_id} is the chain ID of a forked network: pass --fork-url too")
        return None
    from hypervisor.types import whole_number
    from localnet.fork.forking import ForkSource
    from localnet.fork.node_client import redacted_url
    from localnet.fork.request_options import RequestOptions
    from localnet.fork.request_options import headers as parsed_headers
    from localnet.ledger.genesis import MAX_CHAIN_ID

    if chain_id is not None:
        whole_number(chain_id, "a chain id", 1, MAX_CHAIN_ID)
    if transaction is not None and not re.fullmatch(r"0x[0-9a-fA-F]{64}", transaction):
        raise InvalidInput(f"'{transaction:.80}' is not the hash of a transaction: expected 0x and 64 hex digits")
    node, at, suffix = url.rpartition("@")
    if at and suffix.isascii() and suffix.isdigit():
        url = node
        if block is not None:
            raise InvalidInput(f"--fork-url names block {suffix}, --fork-block-number {block}: omit one of them")
        block = int(suffix)

    def report_wait(seconds: float) -> None:
        if not silent:
            typer.echo(f"waiting for {redacted_url(url)} for {seconds:.0f} s", err=True)

    options = RequestOptions(
        timeout=timeout / 1000,
        retries=retries,
        backoff=backoff / 1000,
        compute_units=compute_units,
        headers=parsed_headers(headers or ()),
        offline=offline,
    )
    if transaction is not None and block is not None:
        raise InvalidInput("--fork-transaction-hash already selects the block: omit the other option")
    after = None if transaction is None else bytes.fromhex(transaction[2:])
    return ForkSource(url, block, report_wait, options, caches, after, chain_id)
