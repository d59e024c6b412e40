"""`hypervisor statetest`: Ethereum's own tests, run on this machine under Ethereum's rules."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from devtools.cli.vectors import CORES, AsJson, Paths, Workers, report


def statetest(
    paths: Paths,
    fork: Annotated[str | None, typer.Option(help="One fork's cases only (default: every fork known here).")] = None,
    evm: Annotated[Literal["py-evm"], typer.Option(help="Who runs contracts.")] = "py-evm",
    workers: Workers = CORES,
    as_json: AsJson = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print every step to standard error (EIP-3155).")] = False,
) -> None:
    """Run Ethereum's state tests: the state root, the logs and the exception of each case must be exact.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.
    """
    from functools import partial

    from devtools.vectors import statetest as room
    from devtools.vectors.pool import run_all
    from runtimes.evm.ethereum.forks import FORKS

    if fork is not None and fork not in FORKS:
        raise typer.BadParameter(f"{fork} is not known: choose one of {', '.join(FORKS)}", param_hint="--fork")
    files = room.find_files(paths)
    work = partial(room.run_file, fork=fork, evm=evm, trace=sys.stderr if trace else None)
    results = run_all(work, files, 1 if trace else workers, "files of state tests")
    report((record for records in results for record in records), as_json, [])
