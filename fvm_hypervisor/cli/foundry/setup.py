"""`hypervisor trust`: allow a project to run programs, use outside files and query remote nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvm_hypervisor.cli.options import AsJson


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
    from fvm_hypervisor.soltest.consent import consent_keys, set_trust
    from fvm_hypervisor.soltest.project import find_root
    from hypervisor.errors import InvalidInput

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
    from fvm_hypervisor.soltest.consent import keys_digest, trusted_projects
    from hypervisor.errors import InvalidInput

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
