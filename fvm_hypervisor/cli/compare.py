"""`hypervisor compare`: execute the same messages under two configurations and explain the differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.laboratory_options import (
    CORES,
    RULES,
    Actors,
    BundleDir,
    First,
    Last,
    ListPrices,
    Prices,
    Sources,
    Workers,
    bundle_folder,
    print_prices,
)
from fvm_hypervisor.cli.options import AsJson

_PAIR = "for run B, or for A and B with a comma between"


def compare(
    sources: Sources = None,
    bundle: Annotated[
        str | None,
        typer.Option(metavar="CAR|vN[,CAR|vN]", rich_help_panel=RULES, help=f"Built-in actors {_PAIR}."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="nvN|FILE[,nvN|FILE]", rich_help_panel=RULES, help=f"Network version or draft (.toml) {_PAIR}."
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="FILE[,FILE]", rich_help_panel=RULES, help=f"Other prices or rules (TOML) {_PAIR}."),
    ] = None,
    price: Prices = None,
    actor: Actors = None,
    list_prices: ListPrices = False,
    first: First = None,
    last: Last = None,
    bundle_dir: BundleDir = None,
    workers: Workers = CORES,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write an HTML page with both flame graphs.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute the same messages under two configurations of rules, prices or actors, and explain the differences.

    Run A uses the recorded configuration unless an option has two values; a single value applies to run B. Exit
    codes, return values, events, gas and state are compared. Gas differences are listed by charge, syscall, actor,
    method and call. Each message shows the first call that differs.

    Exit status: 0 if there is no difference, 1 if there is one, 2 for invalid input.

    Example: hypervisor compare chain --price block_persist_compute=86000

    Example: hypervisor compare vectors --bundle v18,mine.car --html report.html

    Example: hypervisor compare chain --network nv29,nv30-draft.toml

    Example: hypervisor compare chain --actor storagemarket=market.wasm --from 100 --to 200
    """
    from functools import partial

    if list_prices:
        print_prices(network, None if overlay is None else Path(overlay), as_json)
        return
    from fvm_hypervisor.laboratory.compare.execution import Comparison, compare_job
    from fvm_hypervisor.laboratory.compare.jobs import jobs_of
    from fvm_hypervisor.laboratory.compare.report import comparison_json, comparison_lines
    from fvm_hypervisor.laboratory.page import comparison_page
    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.sides import Choices, two_sides
    from hypervisor.installation import check_output

    check_output(html, "the page")
    sides = two_sides(Choices(bundle, network, overlay, actor or (), price or ()))
    jobs = jobs_of(sources or [], bundle_folder(bundle_dir), first, last, workers)
    found = Comparison()
    for part in run_all(partial(compare_job, sides=sides), jobs, workers, "cases"):
        found.merge(part)
    if html is not None:
        html.write_text(comparison_page(found, sides), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(comparison_json(found, sides)))
    else:
        for line in comparison_lines(found, sides):
            typer.echo(line)
    if not found.same:
        raise typer.Exit(1)
