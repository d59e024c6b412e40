"""`hypervisor bindings`: typed Python wrappers of contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import Artifacts, AsJson


def bindings(
    artifact: Annotated[
        list[str],
        typer.Argument(metavar="ARTIFACT...", help="Compiler JSON files or contract names.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.")] = Path("."),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with status 1 if a module is out of date.")
    ] = False,
    artifacts: Artifacts = None,
    as_json: AsJson = False,
) -> None:
    """Generate a typed Python class for each contract, with its functions, structs, events and errors.

    The classes work with `localnet.Network`, with pytest, and with web3.py (`localnet.testing.web3_chain`). mypy and
    editors know all types.

    Example: hypervisor bindings Vault out/Coin.sol/Coin.json --out contracts
    """
    from fvm_hypervisor.bindings.contracts import modules

    different = []
    for module in modules(artifact, artifacts):
        path = out / module.file
        if not path.exists() or path.read_text(encoding="utf-8") != module.text:
            different.append(str(path))
            if not check:
                out.mkdir(parents=True, exist_ok=True)
                path.write_text(module.text, encoding="utf-8")
        if not as_json:
            state = "unchanged" if str(path) not in different else "differs" if check else "written"
            typer.echo(f"{module.contract:<24} {path}  {state}")
    if as_json:
        typer.echo(json.dumps({"different": different}))
    if check and different:
        raise typer.Exit(1)
