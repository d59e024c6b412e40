"""A Foundry project as its `foundry.toml` describes it: folders, compiler, what its tests may do.

Keys of forge's that say nothing to a run of tests are passed by, and keys that forge does not know are named
(`unknown_keys`). Rules: the Foundry book's configuration reference.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from fvm_hypervisor.soltest.consent import Grant
from fvm_hypervisor.soltest.environment_settings import EnvironmentSettings, environment_settings
from fvm_hypervisor.soltest.evm_versions import EVM_VERSIONS
from fvm_hypervisor.soltest.foundry_keys import unknown_keys, unknown_variables
from fvm_hypervisor.soltest.foundry_profiles import chosen_profile, merged_profile
from fvm_hypervisor.soltest.project_files import CONFIG_FILE, check_inside
from fvm_hypervisor.soltest.remappings import Remapping, all_remappings
from fvm_hypervisor.soltest.toml_table import U32, U64, U256, Table
from hypervisor.errors import InvalidInput
from hypervisor.precompile_file import precompiles_of
from hypervisor.precompiles import Precompile

DEFAULT_SENDER: Final = "0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38"


@dataclass(frozen=True, slots=True)
class DictionarySettings:
    """What the dictionary of a fuzz or invariant test takes, and how much of it: forge's keys and defaults.

    Addresses are those of contracts whose code is read for the words that it pushes.
    """

    include_storage: bool = True
    include_push_bytes: bool = True
    max_fuzz_dictionary_addresses: int = 15_728_640
    max_fuzz_dictionary_values: int = 9_830_400
    max_fuzz_dictionary_literals: int = 6_553_600


@dataclass(frozen=True, slots=True)
class CorpusSettings(DictionarySettings):
    """Also whether inputs that come over new edges of code are kept, and in which folder: forge's keys and defaults.

    An input may be left out of memory once it was changed `corpus_min_mutations` times for nothing, as long as more
    than `corpus_min_size` are there.
    """

    corpus_dir: str | None = None
    corpus_gzip: bool = True
    corpus_min_mutations: int = 5
    corpus_min_size: int = 0
    show_edge_coverage: bool = False


@dataclass(frozen=True, slots=True)
class FuzzSettings(CorpusSettings):
    """How many runs a fuzz test has, how many inputs it may refuse; the seed, None for any.

    Without `fail_on_revert` a run passes that fails because another contract than the test's has reverted in it.
    With `timeout`, in seconds, a test ends well with the runs that it has by then.
    """

    runs: int = 256
    gas_report_samples: int = 256
    max_test_rejects: int = 65536
    seed: int | None = None
    dictionary_weight: int = 40
    fail_on_revert: bool = True
    timeout: int | None = None
    failures: str = "cache/fuzz"
    """The folder of inputs that have failed, in `failures/<contract>/<test>`."""
    input_file: str | None = None
    """The file of the input that a test begins with, in place of those that are kept."""


@dataclass(frozen=True, slots=True)
class InvariantSettings(CorpusSettings):
    """How many sequences of how many calls; whether a call that reverts is a failure; `timeout` as for fuzz tests."""

    runs: int = 256
    depth: int = 500
    gas_report_samples: int = 256
    fail_on_revert: bool = False
    shrink_run_limit: int = 5000
    max_assume_rejects: int = 65536
    dictionary_weight: int = 80
    timeout: int | None = None
    failures: str = "cache/invariant"
    shows_metrics: bool = True


@dataclass(frozen=True, slots=True)
class CompilerSettings:
    """What solc is asked for. `version` None: any; `evm_version` None: forge's default."""

    version: str | None = None
    optimizer: bool = False
    runs: int = 200
    via_ir: bool = False
    evm_version: str | None = None
    bytecode_hash: str = "ipfs"
    cbor_metadata: bool = True
    optimizer_details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Paths are from `root`, with slashes; gas in Ethereum's gas, money in attoFIL (wei), time in seconds."""

    root: Path
    profile: str = "default"
    src: str = "src"
    test: str = "test"
    script: str = "script"
    out: str = "out"
    cache: str = "cache"
    libs: tuple[str, ...] = ("lib",)
    remappings: tuple[Remapping, ...] = ()
    skip: tuple[str, ...] = ()
    compiler: CompilerSettings = field(default_factory=CompilerSettings)
    force: bool = False
    """Whether all sources are compiled, also those whose code is kept."""
    fuzz: FuzzSettings = field(default_factory=FuzzSettings)
    invariant: InvariantSettings = field(default_factory=InvariantSettings)
    fs_permissions: tuple[tuple[str, str], ...] = ()
    """Access (`read`, `write`, `read-write`, `none`) and path."""
    ffi: bool = False
    offline: bool = False
    """True if no compiler is fetched."""
    consent: Grant = field(default_factory=Grant)
    """What the user has consented to; foundry.toml does not set it."""
    allow_internal_expect_revert: bool = False
    allow_test_fail: bool = False
    """True if `testFail*` are tests that have to fail, as in forge before 1.0."""
    isolate: bool = False
    """Whether each call of a test contract is a transaction of its own."""
    gas_limit: int = 1 << 30
    snapshots: str = "snapshots"
    test_failures: str = "cache/test-failures"
    """The file that names the tests that failed in the last run."""
    gas_snapshot_check: bool = False
    gas_snapshot_emit: bool = True
    shows_progress: bool = False
    verbosity: int = 0
    gas_reports: tuple[str, ...] = ("*",)
    """Contracts of the gas report: all of them where `*` is among the names, or none is given."""
    gas_reports_ignore: tuple[str, ...] = ()
    gas_reports_include_tests: bool = False
    """True if the gas report has the test functions, too."""
    code_size_limit: int | None = None
    """Bytes; None: no limit under Ethereum's rules, as in forge, under Filecoin's the network's."""
    block_number: int = 1
    timestamp: int = 1
    chain_id: int = 31337
    base_fee: int = 0
    coinbase: str = "0x" + "00" * 20
    initial_balance: int = (1 << 96) - 1
    sender: str = DEFAULT_SENDER
    rpc_endpoints: Mapping[str, str] = field(default_factory=dict)
    eth_rpc_url: str | None = None
    """The node whose network tests begin at, by its URL or its name in `rpc_endpoints`."""
    fork_block_number: int | None = None
    keeps_answers: str = "remote"
    """Of which nodes answers are kept on disk: `all`, `remote` (those of other machines) or `none`."""
    precompiles: tuple[Precompile, ...] = ()
    """WASM modules that contracts may call by address."""
    match: Mapping[str, str] = field(default_factory=dict)
    """Filters of the project itself: `match_test`, `no_match_path` and so on."""
    unknown_keys: tuple[str, ...] = ()
    """A warning for each key of the file and each variable that forge does not know either."""

    def in_gas_report(self, contract: str) -> bool:
        """Return whether a contract is in the gas report; one that is both listed and ignored is."""
        if contract in self.gas_reports_ignore:
            return contract in self.gas_reports
        return not self.gas_reports or "*" in self.gas_reports or contract in self.gas_reports

    def is_skipped(self, path: str) -> bool:
        """Whether a source is left out, by the globs of `skip` (`test` and `script` stand for their files)."""
        names = {"test": "*.t.sol", "tests": "*.t.sol", "script": "*.s.sol", "scripts": "*.s.sol"}
        return any(fnmatch(path, names.get(glob, glob)) or fnmatch(f"./{path}", glob) for glob in self.skip)


def find_root(start: Path) -> Path:
    """The folder with `foundry.toml`, here or above; InvalidInput where there is none."""
    place = start.resolve()
    for folder in (place, *place.parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise InvalidInput(f"there is no {CONFIG_FILE} in {start} or above: name the folder of a Foundry project")


def load_project(root: Path, profile: str | None = None, settings: Mapping[str, Any] | None = None) -> Project:
    """Read a project. `profile` is by default that of FOUNDRY_PROFILE, else `default`.

    In descending order of precedence: `settings` (options), the environment (`environment_settings`), foundry.toml.
    Raises InvalidInput with the file, the variable or the option that is wrong.
    """
    environment = environment_settings(os.environ)
    file = root / CONFIG_FILE if environment.config is None else Path(environment.config)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: {error}") from None
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    try:
        name, missing = chosen_profile(Table(content), profile, environment.profile)
        table = Table(merged_profile(Table(content), name))
        project, automatic = _checked_project(root, name, table), table.flag("auto_detect_remappings", True)
        unknown = (
            *missing,
            *unknown_keys(content, merged_profile(Table(content), name, falls_back=False), table.asked),
            *unknown_variables(environment.names, table.asked),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    table = Table(_with_environment(root, name, table, environment))
    first = environment.remappings
    if environment.settings:
        project, automatic = _checked_project(root, name, table), table.flag("auto_detect_remappings", True)
    if settings:
        try:
            project = _checked_project(root, name, Table(_with_settings(table, settings)))
            first = (*(Remapping.parse(text) for text in settings.get("remappings", ())), *first)
        except InvalidInput as error:
            raise InvalidInput(f"of the command line's options, {error}") from None
    remappings = all_remappings(root, first, project.remappings, project.libs, automatic)
    return replace(project, remappings=remappings, unknown_keys=unknown)


def _with_environment(root: Path, name: str, table: Table, environment: EnvironmentSettings) -> dict[str, Any]:
    """Return the profile with the environment's values in place of its own. Raises InvalidInput with the variable."""
    values = table.all_values()
    for setting in environment.settings:
        values = setting.placed(values)
        try:
            _checked_project(root, name, Table(values))
        except InvalidInput as error:
            raise InvalidInput(f"{setting.variable}: {error}") from None
    return values


def _checked_project(root: Path, name: str, table: Table) -> Project:
    project = _project(root, name, table)
    folders = {
        "out": project.out, "cache_path": project.cache, "snapshots": project.snapshots,
        "fuzz.failure_persist_dir": project.fuzz.failures, "invariant.failure_persist_dir": project.invariant.failures,
        "test_failures_file": project.test_failures,
    }  # fmt: skip
    corpora = {"fuzz.corpus_dir": project.fuzz.corpus_dir, "invariant.corpus_dir": project.invariant.corpus_dir}
    folders |= {key: folder for key, folder in corpora.items() if folder is not None}
    for key, folder in folders.items():
        check_inside(root, root / folder, key)
    return project


def _with_settings(table: Table, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile with options in place of its keys; globs to skip are added to those of the profile."""
    placed = {key: value for key, value in settings.items() if key != "remappings"}
    if "skip" in placed:
        placed["skip"] = [*placed["skip"], *table.texts("skip")]
    return {**table.all_values(), **placed}


def _project(root: Path, name: str, table: Table) -> Project:
    libs = table.texts("libs", ("lib",) if not (root / "node_modules").is_dir() else ("lib", "node_modules"))
    return Project(
        root=root,
        profile=name,
        src=table.text("src", "src" if (root / "src").is_dir() or not (root / "contracts").is_dir() else "contracts"),
        test=table.text("test", "test"),
        script=table.text("script", "script"),
        out=table.text("out", "out"),
        cache=table.text("cache_path", "cache"),
        libs=libs,
        remappings=tuple(Remapping.parse(text) for text in table.texts("remappings")),
        skip=table.texts("skip"),
        compiler=_compiler(table),
        force=table.flag("force", False),
        fuzz=_fuzz(table.table("fuzz")),
        invariant=_invariant(table.table("invariant")),
        fs_permissions=tuple(_permission(row) for row in table.tables("fs_permissions")),
        ffi=table.flag("ffi", False),
        offline=table.flag("offline", False),
        allow_internal_expect_revert=table.flag("allow_internal_expect_revert", False),
        isolate=table.flag("isolate", False),
        gas_limit=min(table.number("gas_limit", 1 << 30, U64), U64 >> 1),
        snapshots=table.text("snapshots", "snapshots"),
        test_failures=table.text("test_failures_file", "cache/test-failures"),
        gas_snapshot_check=_switch(table, "gas_snapshot_check", "FORGE_SNAPSHOT_CHECK", False),
        gas_snapshot_emit=_switch(table, "gas_snapshot_emit", "FORGE_SNAPSHOT_EMIT", True),
        shows_progress=table.flag("show_progress", False),
        verbosity=table.number("verbosity", 0),
        gas_reports=table.texts("gas_reports", ("*",)),
        gas_reports_ignore=table.texts("gas_reports_ignore"),
        gas_reports_include_tests=table.flag("gas_reports_include_tests", False),
        code_size_limit=table.number_or_none("code_size_limit", U64),
        block_number=table.number("block_number", 1, U64),
        timestamp=table.number("block_timestamp", 1, U64),
        chain_id=table.number("chain_id", 31337, U64),
        base_fee=table.number("block_base_fee_per_gas", 0, U64),
        coinbase=table.address("block_coinbase", "0x" + "00" * 20),
        initial_balance=table.number("initial_balance", (1 << 96) - 1, U256),
        sender=table.address("sender", DEFAULT_SENDER),
        rpc_endpoints=_endpoints(table.table("rpc_endpoints")),
        eth_rpc_url=table.first_text("eth_rpc_url"),
        fork_block_number=table.number_or_none("fork_block_number", U64),
        keeps_answers=_keeps(table),
        precompiles=precompiles_of(table.values("precompiles"), root),
        match={key: table.text(key, "") for key in _FILTERS if key in table},
    )


def _switch(table: Table, name: str, variable: str, default: bool) -> bool:
    """A flag that a variable of the environment may set, too."""
    said = os.environ.get(variable)
    if said is None:
        return table.flag(name, default)
    if said not in ("true", "false"):
        raise InvalidInput(f"{variable} is '{said}', expected true or false")
    return said == "true"


_FILTERS: Final = (
    "match_test", "no_match_test", "match_contract", "no_match_contract", "match_path", "no_match_path",
    "no_match_coverage",
)  # fmt: skip


def _compiler(table: Table) -> CompilerSettings:
    version, evm = table.first_text("solc_version", "solc"), table.first_text("evm_version")
    return CompilerSettings(
        version=None if version is None else version.lstrip("v="),
        optimizer=table.flag("optimizer", "optimizer_runs" in table),
        runs=min(table.number("optimizer_runs", 200, U64), U32),
        via_ir=table.flag("via_ir", False),
        evm_version=None if evm is None else _evm_version(evm),
        bytecode_hash=table.choice("bytecode_hash", "ipfs", "bzzr1", "none"),
        cbor_metadata=table.flag("cbor_metadata", True),
        optimizer_details=table.values("optimizer_details") if "optimizer_details" in table else None,
    )


def _evm_version(name: str) -> str:
    if name.lower() not in EVM_VERSIONS:
        known = ", ".join(reversed(EVM_VERSIONS))
        raise InvalidInput(f"evm_version is '{name:.60}', expected one of {known}")
    return name.lower()


def _fuzz(table: Table) -> FuzzSettings:
    return FuzzSettings(
        runs=table.number("runs", 256),
        gas_report_samples=table.number("gas_report_samples", 256),
        max_test_rejects=table.number("max_test_rejects", 65536),
        seed=table.number_or_none("seed", U256),
        dictionary_weight=min(table.number("dictionary_weight", 40), 100),
        fail_on_revert=table.flag("fail_on_revert", True),
        timeout=table.number_or_none("timeout"),
        failures=table.text("failure_persist_dir", "cache/fuzz"),
        **_dictionary(table),
    )


def _invariant(table: Table) -> InvariantSettings:
    return InvariantSettings(
        runs=table.number("runs", 256),
        depth=table.number("depth", 500),
        fail_on_revert=table.flag("fail_on_revert", False),
        shrink_run_limit=table.number("shrink_run_limit", 5000),
        gas_report_samples=table.number("gas_report_samples", 256),
        max_assume_rejects=table.number("max_assume_rejects", 65536),
        dictionary_weight=min(table.number("dictionary_weight", 80), 100),
        timeout=table.number_or_none("timeout"),
        failures=table.text("failure_persist_dir", "cache/invariant"),
        shows_metrics=table.flag("show_metrics", True),
        **_dictionary(table),
    )


def _dictionary(table: Table) -> dict[str, Any]:
    usual = DictionarySettings()
    return {
        "include_storage": table.flag("include_storage", usual.include_storage),
        "include_push_bytes": table.flag("include_push_bytes", usual.include_push_bytes),
        "max_fuzz_dictionary_addresses": table.number(
            "max_fuzz_dictionary_addresses", usual.max_fuzz_dictionary_addresses, U64
        ),
        "max_fuzz_dictionary_values": table.number("max_fuzz_dictionary_values", usual.max_fuzz_dictionary_values, U64),
        "max_fuzz_dictionary_literals": table.number(
            "max_fuzz_dictionary_literals", usual.max_fuzz_dictionary_literals, U64
        ),
        **_corpus(table),
    }


def _corpus(table: Table) -> dict[str, Any]:
    usual = CorpusSettings()
    return {
        "corpus_dir": table.first_text("corpus_dir"),
        "corpus_gzip": table.flag("corpus_gzip", usual.corpus_gzip),
        "corpus_min_mutations": table.number("corpus_min_mutations", usual.corpus_min_mutations),
        "corpus_min_size": table.number("corpus_min_size", usual.corpus_min_size),
        "show_edge_coverage": table.flag("show_edge_coverage", usual.show_edge_coverage),
    }


def _permission(row: Table) -> tuple[str, str]:
    if "access" not in row or "path" not in row:
        raise InvalidInput("a row of fs_permissions lacks its access or its path")
    return row.access("access"), row.text("path", "")


def _keeps(table: Table) -> str:
    """Of which nodes answers are kept on disk. forge's patterns of URLs stand for those of other machines."""
    if table.flag("no_storage_caching", False):
        return "none"
    caching = table.table("rpc_storage_caching")
    endpoints = caching.text("endpoints", "remote")
    chains = caching.value("chains", "all")
    if not isinstance(chains, str | list):
        raise InvalidInput(f"rpc_storage_caching.chains is {chains!r:.60}, expected all, none or a list of chains")
    return "none" if chains == "none" else "all" if endpoints == "all" else "remote"


def _endpoints(table: Table) -> dict[str, str]:
    """URLs by alias; one with settings of its own is a table."""
    found: dict[str, str] = {}
    for alias in table:
        url = table.table(alias).first_text("endpoint", "url") if table.is_table(alias) else table.text(alias, "")
        if url is None:
            raise InvalidInput(f"rpc_endpoints.{alias} has no endpoint")
        found[alias] = url
    return found
