"""`hypervisor conformance` and `hypervisor fevmtest`: official test vectors, run on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Paths = Annotated[list[Path], typer.Argument(help="Files or folders.", show_default=False)]
Workers = Annotated[int, typer.Option(min=1, help="Processes to use.", show_default="the number of cores")]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a case.")]

_NOTHING_FOUND = 2
_CORES = os.cpu_count() or 1


def conformance(
    vectors: Paths,
    bundle_dir: Annotated[
        Path | None, typer.Option(help="The folder of official bundles (default: bundles/ in FVM_DATA, ../shared).")
    ] = None,
    workers: Workers = _CORES,
    as_json: AsJson = False,
) -> None:
    """Run Filecoin's official message vectors: exit code, return value, gas and state root must be exact.

    Exit status: 0 if every vector passed, 1 if one failed, 2 if none was found.
    """
    from functools import partial

    from devtools.vectors import conformance as room
    from devtools.vectors.pool import run_all

    found = room.find_vectors(vectors)
    skipped = [path for path in found if room.is_skipped(path)]
    todo = [path for path in found if path not in skipped]
    work = partial(room.run_file, folder=bundle_dir or _data("bundles"))
    records = (record for results in run_all(work, todo, workers, "vectors") for record in results)
    notes = [f"skipped, as by the reference (it needs a failing proof): {path.name}" for path in skipped]
    _report(records, as_json, notes)


def fevmtest(
    paths: Paths,
    evm: Annotated[Literal["py-evm", "official"], typer.Option(help="Who runs contracts.")] = "py-evm",
    bundle: Annotated[
        Path | None, typer.Option(help="The official bundle of the cases (default: v18-devnet.car of FVM_DATA).")
    ] = None,
    workers: Workers = _CORES,
    as_json: AsJson = False,
) -> None:
    """Run the golden cases of the official EVM actor: exit code, return value, events and every actor's state.

    Exit status: 0 if every case passed, 1 if one failed, 2 if none was found.
    """
    from functools import partial

    from devtools.vectors import fevm as room
    from devtools.vectors.pool import run_all

    files = room.find_files(paths)
    work = partial(room.run_file, bundle=bundle or _data("bundles") / "v18-devnet.car", evm=evm)
    _report((record for results in run_all(work, files, workers, "case files") for record in results), as_json, [])


def _data(folder: str) -> Path:
    """A folder of the test data outside the project."""
    return Path(os.environ.get("FVM_DATA", "../shared")) / folder


def _report(records: Iterable[dict[str, Any]], as_json: bool, notes: list[str]) -> None:
    """Print every record, or the failures and a summary; end with the status that the contract names."""
    passed = failed = 0
    for record in records:
        passed, failed = passed + record["pass"], failed + (not record["pass"])
        if as_json:
            typer.echo(json.dumps(record))
        elif not record["pass"]:
            typer.echo(f"FAIL  {record.get('vector') or record.get('name')}: {record['error']}")
    for note in notes:
        sys.stderr.write(f"{note}\n")
    sys.stderr.write(f"{passed} passed, {failed} failed, {len(notes)} skipped\n")
    if not passed and not failed:
        sys.stderr.write("error: no case was found: name files or folders of the right format\n")
        raise typer.Exit(_NOTHING_FOUND)
    if failed:
        raise typer.Exit(1)
