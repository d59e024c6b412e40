"""`hypervisor inspect`: what is at a path in the state of a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from devtools.cli.folders import Folder

_PATH = "ACTOR, ACTOR/FIELD, or ACTOR/state/... by the names of the actor's schema (default: the actors)."


def inspect(
    folder: Folder,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help=_PATH, show_default=False)] = "",
    root: Annotated[
        str | None, typer.Option(metavar="CID", help="Look into this state (default: the folder's newest).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Entries to show of a long map or list.")] = 100,
    proof: Annotated[
        Path | None, typer.Option(metavar="CAR", help="Write the blocks that show it, from the root on, to this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is at a path in a machine's state. A node may have the folder open.

    Example: hypervisor inspect chain f04/state/claims
    """
    from functools import partial

    from bridge.printable import printable
    from devtools.cli.folders import head_of, named_block, reading
    from localnet.contracts.native_actor import stored_interface
    from localnet.state.inspection import StateInspector
    from store.transfer import write_blocks

    with reading(folder) as store:
        start = head_of(store) if root is None else named_block(root)
        inspector = StateInspector(store, start, partial(stored_interface, store))
        found = inspector.look(path, limit)
        if proof is not None:
            with proof.open("wb") as file:
                write_blocks(file, [start], inspector.proof())
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not path.strip("/"):
        for actor, fields in found.items():
            typer.echo(f"{actor:<10} {fields['type']:<18} {fields['balance']} attoFIL")
        return
    for name, value in _lines(found):
        text = printable(value, len(value)) if isinstance(value, str) else json.dumps(value)
        typer.echo(f"{printable(name, len(name))}  {text}" if name else text)


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A line for each value that has no parts: its path below, and itself."""
    if isinstance(value, dict) and value and value.keys() != {"/"}:
        for key, item in value.items():
            yield from _lines(item, f"{path}/{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        yield from _lines({str(index): item for index, item in enumerate(value)}, path)
    elif isinstance(value, dict) and value:
        yield path, value["/"]
    else:
        yield path, value
