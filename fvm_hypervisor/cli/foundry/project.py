"""Lookup and compilation of a Foundry project's contract by `FILE:NAME` or `NAME`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.artifact import Artifacts, ContractArtifact
    from fvm_hypervisor.soltest.project import Project
    from fvm_hypervisor.soltest.session import SuiteSession

_MAX_FILE_BYTES: Final = 1 << 20
"""Maximum size of an arguments file in bytes."""


def source_path(home: Path, file: str) -> str:
    """Return the path from the project root of a source that is named from there or from the current folder.

    Raises InvalidInput.
    """
    from hypervisor.errors import InvalidInput

    for path in (Path(file), home / file):
        if path.is_dir():
            raise InvalidInput(f"{path} is a folder: name a file in it, FILE.sol:CONTRACT")
        if path.is_file():
            try:
                return path.resolve().relative_to(home).as_posix()
            except ValueError:
                raise InvalidInput(f"{path} is not a file of the project {home}") from None
    raise InvalidInput(f"there is no file {file}, here or in {home}")


def find_contract(artifacts: Artifacts, file: str, name: str) -> ContractArtifact:
    """Return the contract with a name in a source file, or in any if `file` is empty. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput

    files = [entry.file for entry in artifacts.locations if entry.name == name]
    if file and file not in files:
        found = ", ".join(entry.name for entry in artifacts.locations if entry.file == file)
        raise InvalidInput(f"there is no contract {name} in {file}: it has {found or 'none'}")
    if not file and len(files) != 1:
        several = f"there are several contracts {name} ({', '.join(files)})"
        raise InvalidInput(f"{several if files else f'there is no contract {name}'}: name it as FILE:CONTRACT")
    return artifacts.get(file or files[0], name)


def compiled_contract(
    context: Any, root: Path, contract: str, profile: str | None, use: str | None, **consent: Any
) -> tuple[Project, ContractArtifact]:
    """Compile a project and return it with one of its contracts; `consent` is passed to `with_consent`.

    Raises InvalidInput, CompileError.
    """
    session, artifact = _compile(context, root, contract, profile, use, **consent)
    return session.project, artifact


def contract_request(
    context: Any,
    root: Path,
    contract: str,
    profile: str | None,
    use: str | None,
    *,
    transaction: str | None,
    **consent: Any,
) -> tuple[Project, dict[str, Any]]:
    """Compile a project and return it with the request to verify one of its contracts.

    Raises InvalidInput, CompileError.
    """
    import orjson

    from fvm_hypervisor.verification.client import request_of
    from hypervisor.errors import InvalidInput
    from hypervisor.installation import MAX_ARTIFACT_BYTES, read_bounded

    session, artifact = _compile(context, root, contract, profile, use, **consent)
    assert session.artifacts is not None, "it has compiled"
    wanted = artifact.file, artifact.name
    path = next(found.path for found in session.artifacts.locations if (found.file, found.name) == wanted)
    metadata = orjson.loads(read_bounded(path, MAX_ARTIFACT_BYTES, "the artifact")).get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidInput(f"{path} has no metadata of the compiler: compile again with --force")
    return session.project, request_of(metadata, session.sources().texts, transaction)


def _compile(
    context: Any, root: Path, contract: str, profile: str | None, use: str | None, **consent: Any
) -> tuple[SuiteSession, ContractArtifact]:
    from fvm_hypervisor.cli.foundry.settings import check_folders, command_line_settings, with_consent
    from fvm_hypervisor.soltest.discovery import SuiteFilter
    from fvm_hypervisor.soltest.job import Options
    from fvm_hypervisor.soltest.project import find_root, load_project
    from fvm_hypervisor.soltest.session import SuiteSession
    from hypervisor.errors import InvalidInput

    file, _, name = contract.rpartition(":")
    if not name.isidentifier():
        raise InvalidInput(
            f"{contract!r:.80} is not a contract: expected FILE:NAME or NAME, such as src/Vault.sol:Vault"
        )
    home = find_root(root)
    check_folders(context, home)
    project = with_consent(context, load_project(home, profile, command_line_settings(context)), **consent)
    path = source_path(home, file) if file else ""
    session = SuiteSession(
        project, SuiteFilter(inside=path or None), Options(use=use), lambda line: typer.echo(line, err=True)
    )
    return session, find_contract(session.compiled(), path, name)


def node_url(project: Project, option: str | None) -> str | None:
    """Return the node URL from the command line or the project; None without one. Raises InvalidInput."""
    import os

    from fvm_hypervisor.soltest.forks.endpoints import endpoint_url
    from localnet.fork.node_client import redacted_url

    node = option or project.eth_rpc_url
    if node is None:
        return None
    url = endpoint_url(node, project.rpc_endpoints, os.environ)
    project.consent.require_node(url, f"the command asks the node {redacted_url(node)}")
    return url


def constructor_texts(option: Sequence[str] | None, file: Path | None) -> list[str] | None:
    """Return the constructor's arguments as text, from the command line or a file; None if neither is given.

    Raises InvalidInput.
    """
    from hypervisor.errors import InvalidInput
    from hypervisor.installation import read_bounded
    from store.untrusted import parse_json

    if file is None:
        return None if option is None else list(option)
    if option:
        raise InvalidInput("--constructor-args and --constructor-args-path cannot be used together: pass one of them")
    data = read_bounded(file, _MAX_FILE_BYTES, "the file of arguments")
    try:
        text = data.decode()
        if file.suffix != ".json":
            return text.split()
        found = parse_json(text)
    except ValueError as error:
        raise InvalidInput(f"the constructor's arguments cannot be read from {file}: {error}") from None
    if not isinstance(found, list):
        raise InvalidInput(f"{file} is not a list of the constructor's arguments")
    return [one if isinstance(one, str) else json.dumps(one) for one in found]
