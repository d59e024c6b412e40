"""`hypervisor replay`: a chain's tipsets, executed again in parallel."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer

from devtools.cli.folders import Folder
from devtools.cli.options import DASK, AsJson


def replay(
    folder: Folder,
    first: Annotated[
        int | None, typer.Option("--from", min=0, metavar="EPOCH", help="The first epoch.", show_default=False)
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=0, metavar="EPOCH", help="The last epoch.", show_default=False)
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes to use.", show_default="the number of cores")
    ] = os.cpu_count() or 1,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help=DASK, show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Execute a chain's tipsets again, and say which come out otherwise than the chain has them.

    Tipsets are independent of each other: each begins at the state that the chain has before it. The folder is read
    only, a node may go on with it. A state that was changed by hand comes out otherwise.

    Exit status: 0 if all came out the same, 1 if one did not.

    Example: hypervisor replay chain --from 100 --to 200 --workers 8
    """
    from functools import partial

    from devtools.cli.folders import open_folder
    from devtools.vectors.pool import run_all
    from localnet.chain import replay as room

    open_folder(folder).close()
    folder = folder.resolve()
    found = room.heights(folder, first, last)
    messages = different = 0
    for done in run_all(partial(room.replay, folder), found, workers, "tipsets", dask):
        messages += done.messages
        different += bool(done.difference)
        if as_json:
            typer.echo(json.dumps(asdict(done)))
        elif done.difference:
            typer.echo(f"{done.height}: {done.difference}")
    if not as_json:
        typer.echo(
            f"{_count_text(len(found), 'tipset')} with {_count_text(messages, 'message')}, {different:,} different"
        )
    if different:
        raise typer.Exit(1)


def _count_text(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
