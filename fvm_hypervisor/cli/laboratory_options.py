"""Options of the laboratory's commands: sources of messages, rules, prices and actor code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

RULES = "Rules and code"
WHAT = "What to execute"

Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE|DIR...",
        help="Message vectors, folders of vectors, or chain folders.",
        show_default=False,
    ),
]
First = Annotated[
    int | None,
    typer.Option(
        "--from", min=0, metavar="EPOCH", rich_help_panel=WHAT, help="First epoch of a chain.", show_default=False
    ),
]
Last = Annotated[
    int | None,
    typer.Option(
        "--to", min=0, metavar="EPOCH", rich_help_panel=WHAT, help="Last epoch of a chain.", show_default=False
    ),
]
BundleDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=WHAT,
        help="Additional folder of the vectors' bundles (default: bundles/ in FVM_DATA, ../shared).",
    ),
]
Workers = Annotated[
    int, typer.Option(min=1, rich_help_panel=WHAT, help="Number of processes.", show_default="the number of cores")
]
CORES = os.cpu_count() or 1
Prices = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="NAME=GAS", rich_help_panel=RULES, help="Alternative price; repeatable."),
]
Actors = Annotated[
    list[str] | None,
    typer.Option(
        "--actor",
        metavar="NAME=WASM[,WASM]",
        rich_help_panel=RULES,
        help="Replacement module for a built-in actor or a code CID; repeatable.",
    ),
]
ListPrices = Annotated[
    bool,
    typer.Option(
        "--list-prices", rich_help_panel=RULES, help="Print the prices of --network (default: the newest) and exit."
    ),
]


def bundle_folder(folder: Path | None) -> Path:
    """Return the folder of the vectors' bundles."""
    return folder or Path(os.environ.get("FVM_DATA", "../shared")) / "bundles"


def print_prices(network: str | None, overlay: Path | None, as_json: bool) -> None:
    """Print the prices of a network version, with an overlay applied if one is given."""
    import json

    from fvm_hypervisor.cli.options import parsed_network
    from fvm_hypervisor.laboratory.drafts import named_draft
    from hypervisor.machine.opening import load_overlay
    from hypervisor.prices import price_values, show_price
    from hypervisor.versions.network_versions import LATEST, network_version

    draft = named_draft(network, overlay)
    if draft is not None:
        row = network_version(draft.number, draft.overlay)
    else:
        number = LATEST.number if network is None else parsed_network(network)
        row = network_version(number, load_overlay(overlay))
    values = price_values(row.prices)
    if as_json:
        typer.echo(json.dumps({"network": row.number, "prices": values}))
        return
    typer.echo(f"nv{row.number}, price list {row.prices.name}, in gas:")
    for name, value in values.items():
        typer.echo(f"{name:<38} {show_price(name, value):>20}")
