"""`hypervisor compare`, `gas` and `version`, and their options: sources of messages, rules, prices and actor code."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import CORES, AsJson, Workers, in_panel, parsed_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor_tools.laboratory.compare.jobs import CaseJob
    from hypervisor_tools.laboratory.sides import Side
    from hypervisor_tools.soltest.compile.artifact import Artifacts

rules_option, input_option = in_panel("Rules and code"), in_panel("What to execute")

Sources = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE|DIR...", help="Message vectors, folders of vectors, or chain folders."),
]
First = Annotated[int | None, input_option("--from", min=0, metavar="EPOCH", help="First epoch of a chain.")]
Last = Annotated[int | None, input_option("--to", min=0, metavar="EPOCH", help="Last epoch of a chain.")]
BundleDir = Annotated[
    Path | None,
    input_option(
        metavar="DIR", help="Additional folder of the vectors' bundles (default: bundles/ in FVM_DATA, ../shared)."
    ),
]
Prices = Annotated[list[str] | None, rules_option("--price", metavar="NAME=GAS", help="Alternative price; repeatable.")]
Actors = Annotated[
    list[str] | None,
    rules_option(
        "--actor", metavar="NAME=WASM[,WASM]", help="Replacement module for a built-in actor or a code CID; repeatable."
    ),
]
ListPrices = Annotated[
    bool, rules_option("--list-prices", help="Print the prices of --network (default: the newest) and exit.")
]


def bundle_folder(folder: Path | None) -> Path:
    """Return the folder of the vectors' bundles."""
    return folder or Path(os.environ.get("FVM_DATA", "../shared")) / "bundles"


def print_prices(network: str | None, overlay: Path | None, as_json: bool) -> None:
    """Print the prices of a network version, with an overlay applied if one is given."""
    import json

    from hypervisor.gas import price_values, show_price
    from hypervisor.machine.opening import load_overlay
    from hypervisor.versions.network_versions import LATEST, network_version
    from hypervisor_tools.laboratory.drafts import named_draft

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


_PAIR = "for run B, or for A and B with a comma between"
node_option = in_panel("Contracts on a network")
ForkUrl = Annotated[str | None, node_option(metavar="URL", help="Ethereum or Filecoin node whose blocks are executed.")]
Contracts = Annotated[
    list[str] | None, node_option("--contract", metavar="ADDRESS", help="Contract of interest (0x...); repeatable.")
]
Blocks = Annotated[int, node_option(min=1, metavar="N", help="Number of the newest blocks to execute.")]
Rules = Annotated[
    str | None,
    node_option(metavar="A,B", help="Two hard forks of Ethereum, or two network versions or drafts (.toml)."),
]
ProjectFolder = Annotated[
    Path | None,
    node_option("--project", metavar="DIR", help="Foundry project whose contracts are named by source line."),
]
Offline = Annotated[bool, node_option("--offline", help="Read the node's responses from the cache only.")]


def compare(
    sources: Sources = None,
    bundle: Annotated[str | None, rules_option(metavar="CAR|vN[,CAR|vN]", help=f"Built-in actors {_PAIR}.")] = None,
    network: Annotated[
        str | None, rules_option(metavar="nvN|FILE[,nvN|FILE]", help=f"Network version or draft (.toml) {_PAIR}.")
    ] = None,
    overlay: Annotated[
        str | None, rules_option(metavar="FILE[,FILE]", help=f"Other prices or rules (TOML) {_PAIR}.")
    ] = None,
    price: Prices = None,
    actor: Actors = None,
    list_prices: ListPrices = False,
    first: First = None,
    last: Last = None,
    bundle_dir: BundleDir = None,
    fork_url: ForkUrl = None,
    contract: Contracts = None,
    blocks: Blocks = 100,
    rules: Rules = None,
    project: ProjectFolder = None,
    offline: Offline = False,
    workers: Workers = CORES,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML page with both flame graphs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute the same messages under two configurations of rules, prices or actors, and explain the differences.

    Run A uses the recorded configuration unless an option has two values; a single value applies to run B. Exit
    codes, return values, events, gas and state are compared. Gas differences are listed by charge, syscall, actor,
    method and call. Each message shows the first call that differs.

    With --fork-url, the transactions of a node's newest blocks that reach the contracts are executed under both
    --rules, each on the state before it. A must be the rules of the network, unless it is a known one. Blocks whose
    state the node does not have are listed, as are those with other results than on the network.

    Exit status: 0 if there is no difference, 1 if there is one, 2 for invalid input and if nothing could be compared.

    Example: hypervisor compare chain --price block_persist_compute=86000

    Example: hypervisor compare vectors --bundle v18,mine.car --html report.html

    Example: hypervisor compare chain --network nv29,nv30-draft.toml

    Example: hypervisor compare chain --actor storagemarket=market.wasm --from 100 --to 200

    Example: hypervisor compare --fork-url $ETH_RPC_URL --contract 0x5fbd...0aa3 --blocks 50 --rules osaka,amsterdam
    """
    if list_prices:
        print_prices(network, None if overlay is None else Path(overlay), as_json)
        return
    from hypervisor.installation import check_output
    from hypervisor_tools.jobs.run import run_all
    from hypervisor_tools.laboratory.compare.execution import Comparison, compare_job, lost_comparison
    from hypervisor_tools.laboratory.compare.jobs import jobs_of
    from hypervisor_tools.laboratory.compare.report import comparison_json, comparison_lines, comparison_page
    from hypervisor_tools.laboratory.sides import Choices, two_sides

    check_output(html, "the page")
    jobs: Sequence[CaseJob]
    with ExitStack() as undo:
        if fork_url is not None or contract or rules is not None or project is not None:
            if sources or bundle or network or overlay or actor or price:
                raise InvalidInput("with --fork-url, the rules are those of --rules and nothing else is executed")
            sides, jobs = _node_jobs(fork_url, contract or (), blocks, rules, offline, project, undo)
        else:
            sides = two_sides(Choices(bundle, network, overlay, actor or (), price or ()))
            jobs = jobs_of(sources or [], bundle_folder(bundle_dir), first, last, workers)
        found = Comparison()
        work = partial(compare_job, sides=sides)
        for part in run_all(work, jobs, workers, "cases", lost=lost_comparison):
            found.merge(part)
    if html is not None:
        html.write_text(comparison_page(found, sides), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(comparison_json(found, sides)))
    else:
        for line in comparison_lines(found, sides):
            typer.echo(line)
        if fork_url is not None and not found.cases and not found.skipped:
            typer.echo(f"no transaction of the newest {blocks:,} blocks reaches the contracts")
    if not found.cases and (found.skipped or fork_url is not None):
        raise typer.Exit(2)
    if not found.same:
        raise typer.Exit(1)


def _node_jobs(
    url: str | None,
    contracts: Sequence[str],
    blocks: int,
    rules: str | None,
    offline: bool,
    project: Path | None,
    undo: ExitStack,
) -> tuple[tuple[Side, Side], Sequence[CaseJob]]:
    """Return the sides and jobs of a comparison of contracts on a network, which `undo` ends. Raises InvalidInput."""
    from hypervisor_tools.laboratory.compare.node_blocks import NodeContracts, close_readers, contract_address
    from hypervisor_tools.laboratory.sides import rules_pair

    if url is None or rules is None or not contracts:
        raise InvalidInput("contracts on a network need --fork-url URL, --contract ADDRESS and --rules A,B")
    sides = rules_pair(rules)
    undo.callback(close_readers)
    on_node = NodeContracts(url, tuple(map(contract_address, contracts)), sides, offline)
    if project is not None:
        on_node = replace(on_node, code=_compiled(project))
    return sides, on_node.jobs(blocks)


def _compiled(folder: Path) -> Artifacts:
    """Return the compiled contracts of a Foundry project. Raises InvalidInput, CompileError."""
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.run.session import SuiteSession

    project = load_project(find_root(folder))
    return SuiteSession(project, SuiteFilter(), Options(), lambda line: typer.echo(line, err=True)).compiled()


_file_option = in_panel("Files to write")


def gas(
    sources: Sources = None,
    bundle: Annotated[str | None, rules_option(metavar="CAR|vN", help="Alternative built-in actors.")] = None,
    network: Annotated[
        str | None, rules_option(metavar="nvN|FILE", help="Alternative network version, or draft of one (.toml).")
    ] = None,
    overlay: Annotated[str | None, rules_option(metavar="FILE", help="Overlay of prices or rules (TOML).")] = None,
    price: Prices = None,
    actor: Actors = None,
    first: First = None,
    last: Last = None,
    bundle_dir: BundleDir = None,
    workers: Workers = CORES,
    csv: Annotated[
        Path | None, _file_option("--csv", metavar="FILE", help="File for every gas charge of every call.")
    ] = None,
    parquet: Annotated[
        Path | None, _file_option(metavar="FILE", help="The same table as Parquet (extra `parquet`).")
    ] = None,
    plot: Annotated[Path | None, _file_option(metavar="FILE", help="Charts as .png or .svg (extra `plots`).")] = None,
    as_json: AsJson = False,
) -> None:
    """Re-execute messages and report their gas by charge, syscall, actor, method and cron call.

    The report includes the distribution of gas over messages and the ten most expensive messages. Options that change
    the rules are those of `hypervisor compare`.

    Exit status: 0, 1 if messages could not be executed, 2 for invalid input.

    Example: hypervisor gas chain --from 100 --to 200

    Example: hypervisor gas chain --csv costs.csv --plot costs.svg
    """
    from hypervisor.installation import check_output
    from hypervisor_tools.jobs.run import run_all
    from hypervisor_tools.laboratory.compare.costs import (
        CostReport,
        check_extra,
        check_plot,
        costs_json,
        costs_lines,
        costs_of_job,
        lost_costs,
        write_csv,
        write_parquet,
        write_plot,
    )
    from hypervisor_tools.laboratory.compare.jobs import jobs_of
    from hypervisor_tools.laboratory.sides import Choices, one_side

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
    for part in run_all(work, jobs, workers, "cases", lost=lost_costs):
        found.merge(part)
    if csv is not None:
        write_csv(csv, found)
    if parquet is not None:
        write_parquet(parquet, found)
    if plot is not None:
        write_plot(plot, found, ", ".join(map(str, sources or [])))
    if as_json:
        typer.echo(json.dumps(costs_json(found, side)))
    else:
        for line in costs_lines(found, side):
            typer.echo(line)
    if found.skipped:
        raise typer.Exit(1)


app = typer.Typer(help="Create draft network versions.", no_args_is_help=True)


@app.callback()
def version() -> None:
    """Create draft network versions."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, such as nv30-draft.")],
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="nvN", help="Version that the draft changes.", show_default="the newest"),
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Folder of the new file.")] = Path(),
    migration: Annotated[bool, typer.Option("--migration", help="Also write NAME.py, a migration of states.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write NAME.toml, a draft of a network version with a table for each kind of change.

    The number is that of the name, or the one after --from. The option --network of `node`, `compare`, `gas`,
    `conformance`, `replay` and `extract` accepts the file.

    Example: hypervisor version new nv30-draft --from nv29
    """
    from hypervisor.versions.network_versions import LATEST
    from hypervisor_tools.laboratory.drafts import new_draft, read_draft

    path = new_draft(name, LATEST.number if base is None else parsed_network(base), folder, migrates=migration)
    draft = read_draft(path)
    found = {"path": str(path), "number": draft.number, "base": draft.base}
    typer.echo(json.dumps(found) if as_json else f"{path}: nv{draft.number}, from nv{draft.base}")
