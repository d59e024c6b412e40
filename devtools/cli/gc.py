"""`hypervisor gc`: forget the blocks that nothing reaches."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from devtools.cli.folders import Folder


def gc(
    folder: Folder,
    states: Annotated[
        int | None,
        typer.Option(min=1, help="Keep the states of this many tipsets (default: of all).", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time; the next run goes on.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Drop the blocks of a folder that no state, receipt, message or pin needs, and give the space back.

    It may be interrupted at any moment and run again. A node must not have the folder open.

    Example: hypervisor gc chain --states 900
    """
    from devtools.cli.folders import open_folder
    from devtools.cli.progress import words_line
    from localnet.retention import chain_roots
    from store.collector import Collector
    from store.marks import Collection

    with open_folder(folder, read_only=False) as store, words_line("collecting") as say:

        def progress(collection: Collection) -> None:
            if say is not None:
                say(f"{collection.phase}, {collection.kept:,} kept, {collection.dropped:,} dropped")

        done = Collector(store, lambda: chain_roots(store, states)).run(progress, seconds)
    if done is None:
        typer.echo("the time is over: run the command again to go on", err=True)
        raise typer.Exit(3)
    if as_json:
        fields = ("kept", "dropped", "size_before", "size_after")
        typer.echo(json.dumps({name: getattr(done, name) for name in fields}))
        return
    typer.echo(
        f"{done.kept:,} blocks kept, {done.dropped:,} dropped; {done.size_before:,} bytes before, "
        f"{done.size_after:,} after"
    )
