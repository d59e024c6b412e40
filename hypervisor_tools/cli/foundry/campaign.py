"""`hypervisor campaign`: search for bugs in a Foundry project for hours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from hypervisor_tools.cli.commands import INTERRUPTED
from hypervisor_tools.cli.foundry.settings import with_consent
from hypervisor_tools.cli.options import (
    CORES,
    EVM,
    OWN_ENGINE,
    Engines,
    Workers,
    parse_rules_name,
    parsed_network,
)

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"'{text}' is not a duration: expected for example 90s, 30m, 8h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def campaign(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the campaign, in the project.")],
    root: Annotated[Path | None, typer.Option("--root", metavar="DIR", help="Folder of the project.")] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Time limit of this run, such as 90s, 30m or 8h.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of rounds of this run.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of a new campaign (default: random).")] = None,
    match_test: Annotated[str | None, typer.Option("--match-test", "--mt", metavar="RE", help="Tests to run.")] = None,
    match_contract: Annotated[
        str | None, typer.Option("--match-contract", "--mc", metavar="RE", help="Contracts whose tests run.")
    ] = None,
    match_path: Annotated[
        str | None, typer.Option("--match-path", "--mp", metavar="GLOB", help="Files whose tests run.")
    ] = None,
    rules: Annotated[str, typer.Option(help="Rules of execution.", callback=parse_rules_name)] = "ethereum",
    evm: Annotated[Engines, EVM] = OWN_ENGINE,
    network: Annotated[str | None, typer.Option(metavar="nvN", help="Network version.")] = None,
    use: Annotated[str | None, typer.Option(metavar="VERSION|PATH", help="Solidity compiler.")] = None,
    workers: Workers = CORES,
) -> None:
    """Run a Foundry project's fuzz, invariant, symbolic and mutation tests in rounds, and collect what they find.

    A round runs each fuzz and invariant test with new seeds, and adds inputs that reach new code to a common corpus in
    DIR. The campaign ends after --for, after --rounds, or after five rounds without anything new. It can be stopped at
    any time; the next run continues it. If sources or settings have changed, it begins again with the corpus.

    New findings are printed as they come, each with a unit test in DIR/tests that reproduces it. DIR/campaign.html and
    DIR/campaign.txt show inputs over time, findings, proofs, and mutants that no test detects.

    Exit status: 0 without findings, 1 with findings, 2 if the tests cannot be run, 130 after Ctrl-C.

    Example: hypervisor campaign test/campaign --for 8h
    """
    from hypervisor_tools.soltest.campaign.page import page_lines, write_pages
    from hypervisor_tools.soltest.campaign.run import Campaign, open_campaign
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.project.globs import in_project
    from hypervisor_tools.soltest.project.project import find_root, load_project

    seconds, number = _seconds(duration), None if network is None else parsed_network(network)
    project = with_consent(context, load_project((root or find_root(Path())).resolve()))
    where, state = open_campaign(project, folder, seed)
    run = Campaign(
        project, SuiteFilter(match_test, contract=match_contract, path=in_project(match_path, project.root)),
        Options(rules, evm, use=use, workers=workers, network=number), where, state, seconds, rounds,
        lambda line: typer.echo(line, err=True), typer.echo,
    )  # fmt: skip
    is_interrupted = False
    try:
        run.run()
    except KeyboardInterrupt:
        is_interrupted = True
    write_pages(where, run.state)
    for line in page_lines(run.state):
        typer.echo(line)
    typer.echo(f"\n{where.folder / 'campaign.html'}")
    if is_interrupted:
        raise typer.Exit(INTERRUPTED)
    if run.state.findings:
        raise typer.Exit(1)
