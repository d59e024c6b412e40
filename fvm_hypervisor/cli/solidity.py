"""`hypervisor solidity`: write the Solidity files that projects import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import AsJson


def solidity(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Output folder.")] = Path("lib/filecoin"),
    as_json: AsJson = False,
) -> None:
    """Write the Solidity files for projects: FilecoinFork.sol, FilecoinVm.sol and interfaces of built-in actors.

    FilecoinFork.sol lets forge tests and scripts call actors on a fork of a node. FilecoinVm.sol declares the
    cheatcodes that `hypervisor test` adds to forge's (docs/cheatcodes.md). The interfaces are for nodes with
    --abi-facade (docs/bridge.md). In a Foundry project, remappings.txt gets a line for `hypervisor/` unless it has
    one.

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
    remapping = _add_remapping(folder)
    if as_json:
        typer.echo(json.dumps({"written": written, "remapping": remapping}))
        return
    typer.echo("\n".join(written))
    if remapping is not None:
        typer.echo(f"remappings.txt: {remapping}")


def _add_remapping(folder: Path) -> str | None:
    """Add a remapping of `hypervisor/` to the Foundry project and return the added line, if any.

    Raises InvalidInput if the project's files cannot be read or written.
    """
    from fvm_hypervisor.soltest.project import find_root, load_project
    from fvm_hypervisor.soltest.project_files import write_inside
    from fvm_hypervisor.soltest.sources import SHIPPED
    from hypervisor.errors import InvalidInput

    try:
        root = find_root(folder)
    except InvalidInput:
        return None  # not in a Foundry project
    if any(SHIPPED.startswith(known.prefix) and not known.context for known in load_project(root).remappings):
        return None
    file, line = root / "remappings.txt", f"{SHIPPED}={folder.resolve().relative_to(root).as_posix()}/"
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        gap = "\n" if before and not before.endswith("\n") else ""
        write_inside(root, file, f"{before}{gap}{line}\n".encode())
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from None
    return line
