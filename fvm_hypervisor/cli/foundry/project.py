"""A contract of a Foundry project: the options of commands for one, its lookup by `FILE:NAME`, and its compilation.

Constructor arguments are parsed as forge does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import typer

from fvm_hypervisor.cli.foundry.settings import (
    ALWAYS,
    COMPILER,
    check_folders,
    command_line_settings,
    setting_options,
    with_consent,
    with_default_values,
)
from fvm_hypervisor.cli.options import URL_VARIABLE, ForeignOptions
from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.artifact import Artifacts, ContractArtifact
    from fvm_hypervisor.soltest.project import Project
    from fvm_hypervisor.soltest.session import SuiteSession

ProjectContract = Annotated[str, typer.Argument(metavar="FILE:NAME|NAME", help="Contract, as SOURCE:NAME.")]
ConstructorArgs = Annotated[
    list[str] | None, typer.Option("--constructor-args", metavar="ARGS...", help="Constructor arguments.")
]
ConstructorArgsFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File of constructor arguments: separated by spaces, or a list in a .json file."),
]
ProjectRoot = Annotated[Path, typer.Option("--root", metavar="DIR", help="Project folder, or a folder in it.")]
ProjectNode = Annotated[
    str | None,
    typer.Option(
        "--rpc-url",
        "-r",
        metavar="URL|NAME",
        envvar=URL_VARIABLE,
        help="URL of the node (default: eth_rpc_url, or port 8545).",
    ),
]
ProjectSolc = Annotated[str | None, typer.Option("--use", metavar="VERSION|PATH", help="Solidity compiler to use.")]
ProjectProfile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="Profile of foundry.toml.")]

_KEYS: Final = "pass a key with --private-key, --keystore or --account, or let the node sign (--unlocked --from)"
_FEES: Final = "the node determines the fees, and the type is 2: `hypervisor script` has fee options"
_NO_SERVICE: Final = "`hypervisor verify-contract` verifies the sources after the deployment"
_ARGUMENTS: Final = "--constructor-args"


class _ContractCommand(ForeignOptions):
    origin = "forge"
    here = "this command"

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.params += setting_options(COMPILER)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_default_values(_repeat_constructor_args(args)))


class CreateCommand(_ContractCommand):
    """The command `hypervisor create`, which recognises the options of forge create."""

    reasons: ClassVar = {
        **ALWAYS,
        **dict.fromkeys(
            ("--aws", "--browser", "--gcp", "--interactive", "--ledger", "--mnemonic", "--trezor", "--turnkey"),
            _KEYS),
        **dict.fromkeys(("--gas-price", "--legacy", "--priority-gas-price"), _FEES),
        **dict.fromkeys(("--etherscan-api-key", "--verifier", "--verifier-url", "--verify"), _NO_SERVICE),
        "--libraries": "a contract that is linked to libraries is refused",
        "--nonce": "the sender's next nonce is used",
    }  # fmt: skip


class VerifyCommand(_ContractCommand):
    """The command `hypervisor verify-bytecode`, which recognises the options of forge verify-bytecode."""

    reasons: ClassVar = {
        **ALWAYS,
        **dict.fromkeys(
            ("--etherscan-api-key", "--verifier", "--verifier-api-key", "--verifier-url"),
            "no verification service is used: the code is compared with the project's own",
        ),
        "--chain": "the node determines the chain: pass --rpc-url",
    }


class VerifySourcesCommand(_ContractCommand):
    """The command `hypervisor verify-contract`, which recognises the options of forge verify-contract."""

    reasons: ClassVar = {
        **ALWAYS,
        **dict.fromkeys(
            ("--constructor-args", "--constructor-args-path", "--guess-constructor-args"),
            "the arguments are read from the creation transaction",
        ),
        **dict.fromkeys(("--chain", "--chain-id"), "the node determines the chain: pass --rpc-url"),
        **dict.fromkeys(
            ("--etherscan-api-key", "--verifier-api-key"), "the service is Sourcify's API, which has no keys"
        ),
        **dict.fromkeys(("--retries", "--delay"), "--timeout limits the time to wait for the result"),
        "--compiler-version": "--use, foundry.toml or the pragmas select the compiler",
        "--flatten": "all sources are sent",
        "--libraries": "a contract that is linked to libraries is refused",
        "--num-of-optimizations": "--optimizer-runs or foundry.toml sets the number",
        "--skip-is-verified-check": "a contract that is verified already is reported as such",
        "--watch": "the command always waits for the result",
    }  # fmt: skip


def _repeat_constructor_args(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which `--constructor-args` is repeated before each of its values."""
    found: list[str] = []
    index = 0
    while index < len(arguments):
        found.append(arguments[index])
        index += 1
        if found[-1] != _ARGUMENTS:
            continue
        values = []
        while index < len(arguments) and not _is_option(arguments[index]):
            values.append(f"{_ARGUMENTS}={arguments[index]}")
            index += 1
        if values:
            found[-1:] = values
    return found


def _is_option(word: str) -> bool:
    """Return True if the argument is an option, and not a value such as a negative number."""
    return word.startswith("-") and not word[1:2].isdigit() and word != "-"


_MAX_FILE_BYTES: Final = 1 << 20
"""Maximum size of an arguments file in bytes."""


def source_path(home: Path, file: str) -> str:
    """Return the path from the project root of a source that is named from there or from the current folder.

    Raises InvalidInput.
    """
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
    from fvm_hypervisor.soltest.discovery import SuiteFilter
    from fvm_hypervisor.soltest.job import Options
    from fvm_hypervisor.soltest.project import find_root, load_project
    from fvm_hypervisor.soltest.session import SuiteSession

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
