"""`hypervisor version`: draft network versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import AsJson

app = typer.Typer(help="Create draft network versions.", no_args_is_help=True)


@app.callback()
def version() -> None:
    """Create draft network versions."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, such as nv30-draft.", show_default=False)],
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
    from fvm_hypervisor.cli.options import parsed_network
    from fvm_hypervisor.laboratory.drafts import new_draft, read_draft
    from hypervisor.versions.network_versions import LATEST

    path = new_draft(name, LATEST.number if base is None else parsed_network(base), folder, migrates=migration)
    draft = read_draft(path)
    found = {"path": str(path), "number": draft.number, "base": draft.base}
    typer.echo(json.dumps(found) if as_json else f"{path}: nv{draft.number}, from nv{draft.base}")
