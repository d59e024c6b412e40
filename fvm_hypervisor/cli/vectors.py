"""`hypervisor conformance`, `fevmtest` and `actortest`: run official test vectors."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from fvm_hypervisor.cli.options import DASK, EVM, OWN_ENGINE, Engines, OverlayFile

Paths = Annotated[list[Path], typer.Argument(help="Files or folders of vectors.", show_default=False)]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes.", show_default="the number of cores")]

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object per case.")]

_STATUS_NO_CASES = 2
CORES = os.cpu_count() or 1


def conformance(
    vectors: Paths,
    bundle_dir: Annotated[
        Path | None,
        typer.Option(help="Additional folder of official bundles (default: bundles/ in FVM_DATA, ../shared)."),
    ] = None,
    workers: Workers = CORES,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help=DASK, show_default=False)] = None,
    as_json: AsJson = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show the first difference of a failing vector.")] = False,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every gas charge to FILE.")] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare every gas charge with FILE.")] = None,
    bundle: Annotated[
        str | None,
        typer.Option(metavar="CAR|vN", help="Bundle to use instead of the vectors' own.", show_default=False),
    ] = None,
    overlay: OverlayFile = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="nvN|FILE",
            help="Network version, or draft of one (.toml), instead of the vectors' own.",
            show_default=False,
        ),
    ] = None,
    parallel: Annotated[
        int,
        typer.Option(min=1, max=256, metavar="N", help="Number of processes that share a vector's messages."),
    ] = 1,
) -> None:
    """Run Filecoin's official vectors. Exit code, return value, gas and state root must match.

    Vectors have the class message or the class tipset, which also checks the receipts root.

    - --diff shows a failing vector's charges by name and in order, and the first state nodes that differ.
    - --trace writes all charges to a file. --against compares with such a file, or with the output of the reference
      oracle's `run --trace`, and shows the first charge that differs.
    - --bundle runs other actors on the vectors' states, which must have the same layouts.
    - --workers is the number of vectors run at once, --parallel the number of processes per vector.
    - --network runs every vector under one version, with a draft's actors if it has some.
    - --overlay changes prices or rules; `hypervisor compare` explains the effects.

    Vectors whose actors are not installed are skipped; the last line counts them and names the remedy.

    Exit status: 0 if every vector passed, 1 if one failed or was skipped, 2 if none was found.

    Example: hypervisor conformance vectors/fvm-nv18 --workers 2
    """
    from functools import partial

    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.vectors import conformance as runner
    from fvm_hypervisor.laboratory.vectors.run_files import RunOptions, run_file, under_network
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.installation import check_output
    from hypervisor.machine.opening import load_overlay

    check_output(trace, "the traces")
    found = runner.find_vectors(vectors)
    skipped = [path for path in found if runner.is_skipped(path)]
    todo = [path for path in found if path not in skipped]
    if bundle is not None:
        Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    options = RunOptions(diff, trace is not None, against, load_overlay(overlay), bundle, parallel)
    options = options if network is None else under_network(options, network)
    work = partial(run_file, folder=bundle_dir or data_folder("bundles"), options=options)
    records: Iterator[dict[str, Any]]
    records = (record for results in run_all(work, todo, workers, "vectors", dask) for record in results)
    if trace is not None:
        records = _write_traces(records, trace)
    notes = [f"skipped, as by the reference (it needs a failing proof): {path.name}" for path in skipped]
    report(records, as_json, notes)


def fevmtest(
    paths: Paths,
    evm: Annotated[Engines, EVM] = OWN_ENGINE,
    bundle: Annotated[
        str | None,
        typer.Option(metavar="CAR|vN", help="Official bundle of the cases (default: v18-devnet from FVM_DATA)."),
    ] = None,
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Run golden cases of the official EVM actor. Exit code, return value, events and all actor states must match.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.

    Example: hypervisor fevmtest vectors/fevm --json
    """
    from functools import partial

    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.vectors import fevm as runner
    from hypervisor.bundles.bundle import Bundle

    files = runner.find_files(paths)
    if bundle is None:
        file = data_folder("bundles") / "v18-devnet.car"
        bundle = str(file) if file.is_file() else file.stem
    Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    work = partial(runner.run_file, bundle=bundle, evm=evm)
    report((record for results in run_all(work, files, workers, "case files") for record in results), as_json, [])


def actortest(
    paths: Paths,
    bundle: Annotated[str, typer.Option(metavar="CAR|vN", help="Bundle of built-in actors.")] = "own-v19",
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Run cases of a built-in actor (nv29's reward). Exit code, return value, events, balances and state must match.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.

    Example: hypervisor actortest vectors/nv29-reward --json
    """
    from functools import partial

    from fvm_hypervisor.laboratory.pool import run_all
    from fvm_hypervisor.laboratory.vectors.actor_cases import find_case_files, run_case_file
    from hypervisor.bundles.bundle import Bundle

    files = find_case_files(paths)
    Bundle.open(bundle)  # report an invalid bundle once, not in every worker
    work = partial(run_case_file, bundle=bundle)
    report((record for results in run_all(work, files, workers, "case files") for record in results), as_json, [])


def data_folder(folder: str) -> Path:
    """Return a folder of test data outside the project."""
    return Path(os.environ.get("FVM_DATA", "../shared")) / folder


def _case_name(record: dict[str, Any]) -> str:
    """Return the name of a vector, or of a state test's case with its fork and index."""
    name = str(record.get("vector") or record.get("name") or record.get("file"))
    return f"{name} {record['fork']} {record['index']}" if record.get("fork") else name


def _remedy(actors: int, count: int) -> str:
    """Return the remedy for vectors whose built-in actors are missing."""
    return (
        f"{count:,} vectors were not run, since their built-in actors, v{actors}, are not installed: `hypervisor "
        f"bundle fetch v{actors}` downloads those of mainnet, and for example `v{actors}-testing-fake-proofs` those of "
        "test networks; or pass a folder with --bundle-dir"
    )


def _write_traces(records: Iterable[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records without their traces, which are written to a file."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            entry = {"id": f"{record['vector']}:{record['variant']}", "trace": record.pop("trace", [])}
            file.write(json.dumps(entry) + "\n")
            yield record


def report(records: Iterable[dict[str, Any]], as_json: bool, notes: list[str]) -> None:
    """Print every record, or the failures and a summary; end with the status that the contract names."""
    passed = failed = 0
    missing_actors = Counter[int]()
    for record in records:
        passed, failed = passed + record["pass"], failed + (not record["pass"])
        if "lacks" in record:
            missing_actors[record["lacks"]] += 1
        if as_json:
            typer.echo(json.dumps(record))
        elif not record["pass"] and "lacks" not in record:
            typer.echo(f"FAIL  {_case_name(record)}: {record['error']}")
            for line in record.get("diff", ()):
                typer.echo(f"      {line}")
    for note in notes:
        sys.stderr.write(f"{note}\n")
    not_run = f", {missing_actors.total()} not run" if missing_actors else ""
    sys.stderr.write(f"{passed} passed, {failed - missing_actors.total()} failed{not_run}, {len(notes)} skipped\n")
    for actors, count in sorted(missing_actors.items()):
        sys.stderr.write(f"{_remedy(actors, count)}\n")
    if not passed and not failed:
        sys.stderr.write(
            "error: no case was found: pass JSON files in the command's format, or folders with such files; with "
            "--fork, they must have cases of that fork\n"
        )
        raise typer.Exit(_STATUS_NO_CASES)
    if failed:
        raise typer.Exit(1)
