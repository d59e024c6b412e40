"""Options of commands for one contract of a Foundry project, and parsing of forge's constructor arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import typer

from fvm_hypervisor.cli.foreign_options import ForeignOptions
from fvm_hypervisor.cli.forge_options import ALWAYS
from fvm_hypervisor.cli.foundry.settings import COMPILER, setting_options, with_default_values
from fvm_hypervisor.cli.options import URL_VARIABLE

ProjectContract = Annotated[
    str, typer.Argument(metavar="FILE:NAME|NAME", help="Contract, as SOURCE:NAME.", show_default=False)
]
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
SolcFromProject = Annotated[
    bool,
    typer.Option("--solc-from-project", hidden=True, help="Deprecated form of --trust that covers only the compiler."),
]
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
