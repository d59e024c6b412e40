"""`hypervisor solidity`, `bindings` and `trust`: files that a project imports, Python wrappers, and permissions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists
from hypervisor_tools import soltest
from hypervisor_tools.cli.options import Artifacts, AsJson


def solidity(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Output folder.")] = Path("lib/filecoin"),
    as_json: AsJson = False,
) -> None:
    """Write the Solidity files for projects: FilecoinFork.sol, FilecoinVm.sol and interfaces of built-in actors.

    FilecoinFork.sol lets forge tests and scripts call actors on a fork of a node. FilecoinVm.sol declares the
    cheatcodes that `hypervisor test` adds to forge's (docs/cheatcodes.md). The interfaces are for nodes with
    the lab `facade` (docs/labs/facade.md). In a Foundry project, remappings.txt gets a line for `hypervisor/` unless
    it has one.

    Example: hypervisor solidity lib/filecoin && forge test --fork-url http://127.0.0.1:8545
    """
    import json

    import bridge
    import localnet

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
    from hypervisor_tools.soltest.project.consent import write_inside
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.project.sources import SHIPPED

    try:
        root = find_root(folder)
    except InvalidInput:
        return None  # not in a Foundry project
    if any(SHIPPED.startswith(known.prefix) and not known.context for known in load_project(root).remappings):
        return None
    file, line = root / "remappings.txt", f"{SHIPPED}={folder.resolve().relative_to(root).as_posix()}/"
    try:
        before = file.read_text(encoding="utf-8") if exists(file) else ""
        gap = "\n" if before and not before.endswith("\n") else ""
        write_inside(root, file, f"{before}{gap}{line}\n".encode())
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from None
    return line


def bindings(
    artifact: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT...", help="Compiler JSON files or contract names.")
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
    from hypervisor_tools.bindings import modules

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


def trust(
    path: Annotated[Path, typer.Argument(help="Project folder, a folder in it, or a migration (.py).")] = Path(),
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke the consent.")] = False,
    lists: Annotated[bool, typer.Option("--list", "-l", help="List the trusted projects.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trust a Foundry project to run programs, use files outside of its folder, and query remote nodes.

    Without trust, a test or script that uses vm.ffi, a file outside of the project or a node on another machine ends
    the run, as does a compiler path in foundry.toml. Trust applies to this folder on this machine until one of these
    keys of foundry.toml changes: ffi, fs_permissions, solc, rpc_endpoints, eth_rpc_url.

    A file in Python is the migration of a draft network version. `hypervisor node` runs it until the file changes.

    Read the project's foundry.toml, tests and scripts first: vm.ffi has no sandbox.

    Example: hypervisor trust

    Example: hypervisor trust --revoke

    Example: hypervisor trust nv30-draft.py
    """
    from hypervisor_tools.soltest.project.consent import consent_keys, set_trust
    from hypervisor_tools.soltest.project.project import find_root

    if lists:
        _print_list(as_json)
        return
    root = path.resolve() if path.suffix == ".py" else find_root(path)
    if path.suffix == ".py" and not (revoke or path.is_file()):
        raise InvalidInput(f"there is no file {path}")
    if revoke:
        was_there = set_trust(root, is_trusted=False)
        text = "is no longer trusted" if was_there else "was not trusted"
    else:
        set_trust(root, is_trusted=True)
        text = "is trusted"
    keys_found = [] if revoke or root.is_file() else consent_keys(root)
    if as_json:
        keys = [{"profile": profile or None, "key": key, "value": value} for profile, key, value in keys_found]
        typer.echo(json.dumps({"project": str(root), "trusted": not revoke, "keys": keys}, default=str))
        return
    typer.echo(f"{root} {text}")
    for profile, key, value in keys_found:
        typer.echo(f"  {f'profile.{profile}.' if profile else ''}{key} = {json.dumps(value, default=str)}")


def _print_list(as_json: bool) -> None:
    from hypervisor_tools.soltest.project.consent import keys_digest, trusted_projects

    found = {}
    for root, digest in sorted(trusted_projects().items()):
        try:
            found[root] = keys_digest(Path(root)) == digest
        except (InvalidInput, OSError):
            found[root] = False
    if as_json:
        typer.echo(json.dumps([{"project": root, "current": is_current} for root, is_current in found.items()]))
        return
    for root, is_current in found.items():
        typer.echo(f"{root}{'' if is_current else '  (it changed: trust it again, or revoke it)'}")
    if not found:
        typer.echo("no project is trusted: `hypervisor trust` trusts the one of this folder")
