"""Options for keys of `foundry.toml` under forge's names, shared by all commands that read a project.

A value replaces the key and is validated like it (`fvm_hypervisor.soltest.project`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typer import BadParameter
from typer.core import TyperOption

from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from fvm_hypervisor.soltest.project import Project

_META: Final = "foundry settings"
_FOLDERS: Final = "foundry folders"
_TRUST: Final = "foundry trust"
COMPILER: Final = "Compiler and folders (overrides of foundry.toml)"
CHAIN: Final = "Chain of the tests (overrides of foundry.toml)"


@dataclass(frozen=True, slots=True)
class SettingOption:
    """An option: its names, its key in foundry.toml, and its type. Without a metavar it is a flag that sets `sets`."""

    names: tuple[str, ...]
    key: str
    help: str
    metavar: str = ""
    panel: str = COMPILER
    many: bool = False
    sets: Mapping[str, Any] = field(default_factory=dict)
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
    _switch("--no-metadata", "Compile without metadata.", bytecode_hash="none", cbor_metadata=False),
    _switch("--hardhat --hh", "Use Hardhat's folders.", src="contracts", libs=["node_modules"]),
    SettingOption(("--fork-url", "--rpc-url", "-f", "-r"), "eth_rpc_url", "Node whose network is forked.", "URL",
                  CHAIN),
    SettingOption(("--fork-block-number",), "fork_block_number", "Block to fork at (default: the newest).", "N", CHAIN),
    _switch("--no-storage-caching", "Do not cache responses of nodes on disk.", no_storage_caching=True),
    SettingOption(("--isolate",), "", "Execute each call of a test as a separate transaction.", panel=CHAIN,
                  sets={"isolate": True}),
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


def with_consent(
    context: Any, project: Project, *, ffi: bool = False, solc_from_project: bool = False, url: str | None = None
) -> Project:
    """Return the project with the user's consent: of the command line, the environment, and `hypervisor trust`.

    `ffi` and `solc_from_project` are options that consent to one thing; `url` is the node that the command line names.
    """
    import os

    from fvm_hypervisor.soltest.consent import Consent, grant_of
    from fvm_hypervisor.soltest.environment_settings import environment_settings

    own = {setting.key: setting.value for setting in environment_settings(os.environ).settings}
    consents = {Consent.FFI} if ffi else set()
    consents |= {Consent.SOLC} if solc_from_project or {"solc", "solc_version"} & own.keys() else set()
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


def _as_list(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _option(row: SettingOption) -> TyperOption:
    def keep(context: Any, _: Any, value: Any) -> Any:
        if value:
            settings = row.sets or {row.key: _value(row, value)}
            context.meta.setdefault(_META, {}).update(settings)
            if row.is_folder:
                context.meta.setdefault(_FOLDERS, []).extend((row.names[0], name) for name in _as_list(value))
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
