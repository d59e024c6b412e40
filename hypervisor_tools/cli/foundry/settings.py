"""Options of commands that read a Foundry project, and the lookup of a contract by `FILE:NAME`.

Options have forge's names. The value of a key of `foundry.toml` replaces the key and is validated like it
(`hypervisor_tools.soltest.project.project`). Unsupported options of forge's commands are rejected with a replacement.
Constructor arguments are parsed as forge does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple

import typer
from typer import BadParameter
from typer.core import TyperCommand, TyperOption

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.modes import mutation_options, with_mutated_paths
from hypervisor_tools.cli.options import URL_VARIABLE, ForeignOptions
from hypervisor_tools.soltest.project.tuning import TUNING_OPTIONS

if TYPE_CHECKING:
    from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact
    from hypervisor_tools.soltest.project.project import Project
    from hypervisor_tools.soltest.run.session import SuiteSession

_META: Final = "foundry settings"
_FOLDERS: Final = "foundry folders"
_TRUST: Final = "foundry trust"
COMPILER: Final = "Compiler and folders (overrides of foundry.toml)"
CHAIN: Final = "Chain of the tests (overrides of foundry.toml)"


class SettingOption(NamedTuple):
    """An option: its names, its key in foundry.toml, and its type. Without a metavar it is a flag that sets `sets`."""

    names: tuple[str, ...]
    key: str
    help: str
    metavar: str = ""
    panel: str = COMPILER
    many: bool = False
    sets: Mapping[str, Any] = {}
    is_folder: bool = False
    """True if the value must be a folder of the project, as checked by `check_folders`."""
    words: tuple[str, ...] = ()
    """Accepted values; the first one is the default of an option without a value."""


def _switch(names: str, help_: str, **sets: Any) -> SettingOption:
    return SettingOption(tuple(names.split()), "", help_, sets=sets)


SETTINGS: Final = (
    SettingOption(("--contracts", "-C"), "src", "Folder of contracts.", "DIR"),
    SettingOption(("--lib-paths",), "libs", "Folder of libraries; repeatable.", "DIR", many=True,
                  is_folder=True),
    SettingOption(("--remappings", "-R"), "remappings", "Remapping that precedes the project's; repeatable.", "A=B",
                  many=True),
    SettingOption(("--out", "-o"), "out", "Folder of artifacts.", "DIR"),
    SettingOption(("--cache-path",), "cache_path", "Folder of the cache.", "DIR"),
    SettingOption(("--skip",), "skip", "Sources to skip: a glob, `test` or `script`; repeatable.", "GLOB", many=True),
    SettingOption(("--evm-version",), "evm_version", "EVM version to compile for and to run.", "FORK"),
    SettingOption(("--optimize",), "optimizer", "Enable or disable solc's optimizer.", "true|false",
                  words=("true", "false")),
    SettingOption(("--optimizer-runs",), "optimizer_runs", "Number of runs to optimize for.", "N"),
    _switch("--via-ir", "Compile through Yul.", via_ir=True),
    _switch("--force", "Compile all sources, without the cache.", force=True),
    _switch("--offline", "Do not download compilers, and read forks from the cache only.", offline=True),
    SettingOption(("--deny", "-D"), "deny", "Fail if the compiler warns: never, warnings or notes.", "LEVEL"),
    _switch("--no-metadata", "Compile without metadata.", bytecode_hash="none", cbor_metadata=False),
    _switch("--dynamic-test-linking", "Load the code of contracts by name (default).", dynamic_test_linking=True),
    _switch("--no-dynamic-test-linking", "Compile the code of contracts into their tests.", dynamic_test_linking=False),
    _switch("--hardhat --hh", "Use Hardhat's folders.", src="contracts", libs=["node_modules"]),
    SettingOption(("--fork-url", "--rpc-url", "-f", "-r"), "eth_rpc_url", "Node whose network is forked.", "URL",
                  CHAIN),
    SettingOption(("--fork-block-number",), "fork_block_number", "Block to fork at (default: the newest).", "N", CHAIN),
    _switch("--no-storage-caching", "Do not cache responses of nodes on disk.", no_storage_caching=True),
    SettingOption(("--isolate",), "", "Execute each call of a test as a separate transaction.", panel=CHAIN,
                  sets={"isolate": True}),
    SettingOption(("--no-isolate",), "", "Execute a test as one transaction.", panel=CHAIN, sets={"isolate": False}),
    SettingOption(("--sender",), "sender", "Address that deploys and calls test contracts.", "ADDRESS", CHAIN),
    SettingOption(("--initial-balance",), "initial_balance", "Balance of a test contract in wei.", "WEI", CHAIN),
    SettingOption(("--chain-id", "--chain"), "chain_id", "Chain ID.", "N", CHAIN),
    SettingOption(("--gas-limit", "--block-gas-limit"), "gas_limit", "Gas limit of blocks and tests.", "GAS", CHAIN),
    SettingOption(("--code-size-limit",), "code_size_limit", "Maximum size of deployed code in bytes.", "BYTES", CHAIN),
    SettingOption(("--block-base-fee-per-gas", "--base-fee"), "block_base_fee_per_gas", "Base fee.", "WEI", CHAIN),
    SettingOption(("--block-coinbase",), "block_coinbase", "Coinbase.", "ADDRESS", CHAIN),
    SettingOption(("--block-timestamp",), "block_timestamp", "Timestamp in Unix seconds.", "SECONDS", CHAIN),
    SettingOption(("--block-number",), "block_number", "Block number.", "N", CHAIN),
)  # fmt: skip


def setting_options(*panels: str) -> list[TyperOption]:
    """Return command options for the settings of some panels, whose values `command_line_settings` collects.

    The option `--trust`, which `with_consent` reads, is included.
    """
    return [*(_option(row) for row in SETTINGS if row.panel in panels), _trust_option()]


def with_default_values(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which options with an optional value have their default value."""
    first = {name: row.words for row in SETTINGS if row.words for name in row.names}
    found: list[str] = []
    for index, argument in enumerate(arguments):
        found.append(argument)
        after = arguments[index + 1] if index + 1 < len(arguments) else ""
        if argument in first and (not after or after.startswith("-")):
            found.append(first[argument][0])
    return found


def command_line_settings(context: Any) -> dict[str, Any]:
    """Return the keys of foundry.toml set on the command line; `context` is the command's."""
    return dict(context.meta.get(_META, {}))


def with_consent(context: Any, project: Project, *, ffi: bool = False, url: str | None = None) -> Project:
    """Return the project with the user's consent: of the command line, the environment, and `hypervisor trust`.

    `ffi` is the option that consents to programs; `url` is the node that the command line names.
    """
    import os

    from hypervisor_tools.soltest.project.consent import Consent, grant_of
    from hypervisor_tools.soltest.project.settings import environment_settings

    own = {setting.key: setting.value for setting in environment_settings(os.environ).settings}
    consents = {Consent.FFI} if ffi else set()
    consents |= {Consent.SOLC} if {"solc", "solc_version"} & own.keys() else set()
    nodes = (url, command_line_settings(context).get("eth_rpc_url"), own.get("eth_rpc_url"))
    trust = bool(context.meta.get(_TRUST))
    urls = frozenset(str(node) for node in nodes if node is not None)
    consent = grant_of(project.root, trust=trust, consents=frozenset(consents), urls=urls)
    offline = command_line_settings(context).get("offline") is True
    return replace(project, consent=consent, ffi=ffi or project.ffi, forks_offline=offline)


def check_folders(context: Any, root: Path) -> None:
    """Raise InvalidInput if an option names a folder that does not exist in the project."""
    for option, name in context.meta.get(_FOLDERS, ()):
        if not (root / name).is_dir():
            raise InvalidInput(f"there is no folder {name} in {root}: {option} names folders of the project; create it")


def _option(row: SettingOption) -> TyperOption:
    def keep(context: Any, _: Any, value: Any) -> Any:
        if value:
            settings = row.sets or {row.key: _value(row, value)}
            context.meta.setdefault(_META, {}).update(settings)
            if row.is_folder:
                context.meta.setdefault(_FOLDERS, []).extend(
                    (row.names[0], name) for name in ([value] if isinstance(value, str) else value)
                )
        return value

    return TyperOption(
        param_decls=list(row.names), callback=keep, expose_value=False, help=row.help, rich_help_panel=row.panel,
        type=str if row.metavar else bool, is_flag=not row.metavar, metavar=row.metavar or None, multiple=row.many,
        default=None if row.metavar else False, show_default=False,
    )  # fmt: skip


def _trust_option() -> TyperOption:
    def keep(context: Any, _: Any, value: Any) -> Any:
        context.meta[_TRUST] = value
        return value

    return TyperOption(
        param_decls=["--trust"], callback=keep, expose_value=False, type=bool, is_flag=True, default=False,
        help="Allow the programs, files and nodes that the project requests (docs/security.md).",
        rich_help_panel="Consent", show_default=False,
    )  # fmt: skip


def _value(row: SettingOption, value: Any) -> Any:
    if row.many:
        return list(value)
    if row.words:
        if value not in row.words:
            raise BadParameter(f"'{value:.60}' is not a value of {row.names[0]}: expected {' or '.join(row.words)}")
        return value == row.words[0]
    return value


_CHAIN = "--rules selects Ethereum's or Filecoin's rules"
_RATE = "after a node's first refusal, requests are limited to 330 compute units per second"
_COMPILER = "the compiler only generates what tests need: use forge build for other output"
_WATCHED = "the folders src, test and script are watched, and a running test run is never interrupted"
UNSUPPORTED: Final = {
    "--always-use-create-2-factory": "CREATE2 is executed by the contract itself, as in forge by default",
    "--ast": _COMPILER,
    "--block-difficulty": "there is no difficulty since the merge: vm.prevrandao sets the value that replaced it",
    "--block-prevrandao": "vm.prevrandao sets it in a test",
    "--build-info": "build-info is always written with the artifacts",
    "--build-info-path": "build-info is written to out/build-info, as by forge",
    "--celo": _CHAIN,
    "--color": "the output has no colours",
    "--compute-units-per-second": _RATE,
    "--config-path": "the project's foundry.toml is read: --root selects its folder",
    "--create2-deployer": "the deployer is at 0x4e59b44847b379578588920cA78FbF26c0B4956C, as in forge by default",
    "--disable-block-gas-limit": "--gas-limit sets the limit",
    "--disable-labels": "traces always show names of contracts and labels of vm.label",
    "--dump": "--debug --command runs commands of the debugger and prints their output",
    "--enable-tx-gas-limit": "a test is one transaction with the gas limit of --gas-limit",
    "--etherscan-api-key": "no verification service is used: traces name the project's own contracts",
    "--extra-output": _COMPILER,
    "--extra-output-files": _COMPILER,
    "--fork-retries": "rate-limited and dropped requests are repeated up to five times",
    "--fork-retry-backoff": "the first retry follows after a second; the delay doubles each time",
    "--gas-price": "a test's transactions pay nothing for gas: vm.txGasPrice sets the visible price",
    "--ignored-error-codes": "ignored_error_codes in foundry.toml names the warnings that are not shown",
    "--insecure": "certificates are always verified: SSL_CERT_FILE adds your own authority",
    "--libraries": "libraries are deployed and linked automatically",
    "--live-logs": "-vv prints the logs of tests when their suite has ended",
    "--md": "--json prints one JSON object with all results, --junit JUnit's XML",
    "--memory-limit": "memory is limited by gas",
    "--no-auto-detect": "--use, foundry.toml or the pragmas select the compiler",
    "--no-cache": "results are stored in any case: --force compiles everything again",
    "--no-proxy": "proxies are never used: requests go to the host of the URL",
    "--no-restart": _WATCHED,
    "--no-rpc-rate-limit": _RATE,
    "--remappings-env": "remappings come from foundry.toml, remappings.txt and --remappings",
    "--revert-strings": _COMPILER,
    "--rpc-timeout": "the timeout of a request is 45 seconds, as in forge by default",
    "--trace-depth": "-vvv prints all calls of failing tests, at any depth",
    "--tx-origin": "vm.prank sets it in a test; the default is the sender",
    "--use-literal-content": _COMPILER,
    "--watch-delay": "a run starts when files stop changing",
    **TUNING_OPTIONS,
}
ALWAYS: Final = {"--no-cache": UNSUPPORTED["--no-cache"]}
"""Reasons for options missing in every command that compiles a project."""
ALIASES: Final = {
    "--no-block-gas-limit": "--disable-block-gas-limit",
    "--no-gas-limit": "--disable-block-gas-limit",
    "--no-rate-limit": "--no-rpc-rate-limit",
    "--tx-gas-limit": "--enable-tx-gas-limit",
    "-k": "--insecure",
}
"""Other names of the same options."""


class TestCommand(ForeignOptions):
    """The command `hypervisor test`, which recognises forge's options."""

    __test__ = False  # pytest would collect a class named Test*
    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**UNSUPPORTED, **{short: UNSUPPORTED[name] for short, name in ALIASES.items()}}

    own: ClassVar = {"--lab": "select labs with --rules, as in --rules lab:rent"}

    def __init__(self, name: str | None, **settings: Any) -> None:
        """Create the command and append the options for keys of foundry.toml."""
        super().__init__(name, **settings)
        self.params += [*mutation_options(), *setting_options(COMPILER, CHAIN)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, after adding the default value of options that may omit it."""
        return super().parse_args(ctx, with_default_values(with_mutated_paths(args)))


_KEYS: Final = "pass a key with --private-key, --keystore or --account, or let the node sign (--unlocked)"
_ONE_BY_ONE: Final = "transactions are not batched"
_VERIFY_LATER: Final = "`hypervisor verify-contract` verifies the sources after the deployment"
SCRIPT_NOT_HERE: Final = {
    "--aws": _KEYS,
    "--batch": _ONE_BY_ONE,
    "--batch-size": _ONE_BY_ONE,
    "--browser": _KEYS,
    "--debug": "`hypervisor step` debugs a transaction of a node; -vvvv prints every call of a script",
    "--delay": _VERIFY_LATER,
    "--etherscan-api-key": _VERIFY_LATER,
    "--fork-block-number": "a script runs on the newest state, on which its transactions will be executed",
    "--gcp": _KEYS,
    "--interactive": _KEYS,
    "--interactives": _KEYS,
    "--isolate": "a script's transactions are always simulated one by one, each in its own block",
    "--ledger": _KEYS,
    "--mnemonics": "`hypervisor wallet` shows the keys of a mnemonic: pass them with --private-key",
    "--multi": "a run has one --rpc-url: run the script once for each network",
    "--non-interactive": "the command never prompts",
    "--retries": _VERIFY_LATER,
    "--trezor": _KEYS,
    "--turnkey": _KEYS,
    "--verifier": _VERIFY_LATER,
    "--verify": _VERIFY_LATER,
}


class CampaignCommand(TyperCommand):
    """The command `hypervisor campaign`."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        """Create the command and append `--trust`."""
        super().__init__(name, **settings)
        self.params += setting_options()


class ScriptCommand(ForeignOptions):
    """The command `hypervisor script`, which recognises the options of forge script."""

    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**ALWAYS, **SCRIPT_NOT_HERE}

    def __init__(self, name: str | None, **settings: Any) -> None:
        """Create the command and append the compiler options."""
        super().__init__(name, **settings)
        self.params += setting_options(COMPILER)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer; an option whose value is optional gets its default."""
        return super().parse_args(ctx, with_default_values(args))


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

_FEES: Final = "the node determines the fees, and the type is 2: `hypervisor script` has fee options"
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
        **dict.fromkeys(("--etherscan-api-key", "--verifier", "--verifier-url", "--verify"), _VERIFY_LATER),
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

    from hypervisor.installation import MAX_ARTIFACT_BYTES, read_bounded
    from hypervisor_tools.verification.client import request_of

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
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.run.session import SuiteSession

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

    from hypervisor_tools.soltest.forks.records import endpoint_url
    from localnet.fork.urls import redacted_url

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
