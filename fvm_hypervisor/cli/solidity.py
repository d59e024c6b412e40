"""`hypervisor solidity`: the Solidity files that projects import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import AsJson


def solidity(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where they are written.")] = Path("lib/filecoin"),
    as_json: AsJson = False,
) -> None:
    """Write the Solidity files that projects import: FilecoinFork.sol, FilecoinVm.sol and the actors' interfaces.

    FilecoinFork.sol lets tests and scripts of forge call actors, on a fork of a node, and FilecoinVm.sol declares the
    cheatcodes that `hypervisor test` has beside forge's (docs/solidity-tests.md);
    the interfaces are those of a node with --abi-facade (docs/bridge.md).

    Example: hypervisor solidity lib/filecoin && forge test --fork-url http://127.0.0.1:8545
    """
    import json

    import bridge
    import localnet
    from fvm_hypervisor import soltest

    packages = [Path(str(package.__file__)).parent / "solidity" for package in (bridge, localnet, soltest)]
    sources = sorted((source for package in packages for source in package.glob("*.sol")), key=lambda path: path.name)
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        (folder / source.name).write_bytes(source.read_bytes())
    written = [str(folder / source.name) for source in sources]
    typer.echo(json.dumps({"written": written}) if as_json else "\n".join(written))
