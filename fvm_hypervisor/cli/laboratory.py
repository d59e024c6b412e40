"""`hypervisor gas`: report gas of messages by actor, method, charge, syscall and cron call."""

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
    Prices,
    Sources,
    Workers,
    bundle_folder,
)
from fvm_hypervisor.cli.options import AsJson

_FILES = "Files to write"


def gas(
    sources: Sources = None,
    bundle: Annotated[
        str | None, typer.Option(metavar="CAR|vN", rich_help_panel=RULES, help="Alternative built-in actors.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="nvN|FILE", rich_help_panel=RULES, help="Alternative network version, or draft of one (.toml)."
        ),
    ] = None,
    overlay: Annotated[
        str | None, typer.Option(metavar="FILE", rich_help_panel=RULES, help="Overlay of prices or rules (TOML).")
    ] = None,
    price: Prices = None,
    actor: Actors = None,
    first: First = None,
    last: Last = None,
    bundle_dir: BundleDir = None,
    workers: Workers = CORES,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            rich_help_panel=_FILES,
            help="File for every gas charge of every call.",
            show_default=False,
        ),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_FILES,
            help="The same table as Parquet (extra `parquet`).",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_FILES,
            help="Charts as .png or .svg (extra `plots`).",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Re-execute messages and report their gas by charge, syscall, actor, method and cron call.

    The report includes the distribution of gas over messages and the ten most expensive messages. Options that change
    the rules are those of `hypervisor compare`.

    Example: hypervisor gas chain --from 100 --to 200

    Example: hypervisor gas chain --csv costs.csv --plot costs.svg
    """
    from functools import partial

    from fvm_hypervisor.laboratory.compare.costs import (
        CostReport,
        check_extra,
        check_plot,
        costs_json,
        costs_lines,
        costs_of_job,
        write_csv,
        write_parquet,
        write_plot,
    )
    from fvm_hypervisor.laboratory.compare.jobs import jobs_of
    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.sides import Choices, one_side
    from hypervisor.installation import check_output

    for file, what in ((csv, "the table"), (parquet, "the table"), (plot, "the plot")):
        check_output(file, what)
    if parquet is not None:
        check_extra("pyarrow", f"the table {parquet}")
    if plot is not None:
        check_plot(plot)
    side = one_side(Choices(bundle, network, overlay, actor or (), price or ()))
    jobs = jobs_of(sources or [], bundle_folder(bundle_dir), first, last, workers)
    found = CostReport()
    work = partial(costs_of_job, side=side, with_rows=csv is not None or parquet is not None)
    for part in run_all(work, jobs, workers, "cases"):
        found.merge(part)
    if csv is not None:
        write_csv(csv, found)
    if parquet is not None:
        write_parquet(parquet, found)
    if plot is not None:
        write_plot(plot, found, ", ".join(map(str, sources or [])))
    if as_json:
        typer.echo(json.dumps(costs_json(found, side)))
        return
    for line in costs_lines(found, side):
        typer.echo(line)
