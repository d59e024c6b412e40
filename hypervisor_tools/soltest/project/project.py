"""A Foundry project and the settings in its `foundry.toml`: folders, compiler, permissions of its tests.

Keys of forge that do not concern tests are ignored; keys that forge does not know are reported (`unknown_keys`). Rules:
the Foundry book's configuration reference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor.precompiles import Precompile, precompiles_of
from hypervisor_tools.soltest.project.consent import CONFIG_FILE, Grant, check_inside, config_file, read_config
from hypervisor_tools.soltest.project.globs import fits
from hypervisor_tools.soltest.project.remappings import Remapping, all_remappings
from hypervisor_tools.soltest.project.settings import (
    DEFAULT,
    U32,
    U64,
    U256,
    EnvironmentSettings,
    Table,
    environment_settings,
    merge_profile,
    select_profile,
    unknown_keys,
    unknown_variables,
)
from hypervisor_tools.soltest.project.test_settings import (
    EVM_VERSIONS,
    MutationConfig,
    SymbolicSettings,
    select_operators,
)

DEFAULT_SENDER: Final = "0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38"


@dataclass(frozen=True, slots=True)
class DictionarySettings:
    """Dictionary settings of a fuzz or invariant test: forge's keys and defaults.

    `max_fuzz_dictionary_addresses` limits the contracts whose code is searched for pushed words.
    """

    include_storage: bool = True
    include_push_bytes: bool = True
    max_fuzz_dictionary_addresses: int = 15_728_640
    max_fuzz_dictionary_values: int = 9_830_400
    max_fuzz_dictionary_literals: int = 6_553_600


@dataclass(frozen=True, slots=True)
class CorpusSettings(DictionarySettings):
    """Dictionary and corpus settings: forge's keys and defaults.

    An input may be evicted after `corpus_min_mutations` unsuccessful mutations, if there are more than
    `corpus_min_size`.
    """

    corpus_dir: str | None = None
    corpus_gzip: bool = True
    corpus_min_mutations: int = 5
    corpus_min_size: int = 0
    show_edge_coverage: bool = False

    @property
    def collects_edges(self) -> bool:
        """True if edges of calls are counted."""
        return self.corpus_dir is not None or self.show_edge_coverage


@dataclass(frozen=True, slots=True)
class FuzzSettings(CorpusSettings):
    """Settings of fuzz tests. `seed` None means random.

    Without `fail_on_revert`, a run passes if it fails because a contract other than the test's reverted in it. With
    `timeout`, in seconds, a test passes with the runs done by then.
    """

    runs: int = 256
    gas_report_samples: int = 256
    max_test_rejects: int = 65536
    seed: int | None = None
    dictionary_weight: int = 40
    fail_on_revert: bool = True
    timeout: int | None = None
    learns: bool = True
    """True if inputs depend on the results of earlier runs; not set by foundry.toml."""
    failures: str = "cache/fuzz"
    """Folder of failing inputs, stored in `failures/<contract>/<test>`."""
    input_file: str | None = None
    """File of the input to begin with, instead of the stored failure."""


@dataclass(frozen=True, slots=True)
class InvariantSettings(CorpusSettings):
    """Settings of invariant tests: `runs` sequences of `depth` calls; `timeout` as for fuzz tests."""

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
    max_time_delay: int = 0
    max_block_delay: int = 0
    """Seconds and blocks between calls are less than these; 0 for none."""


class CompilerSettings(NamedTuple):
    """Settings for solc. `version` None: any release; `evm_version` None: forge's default."""

    version: str | None = None
    optimizer: bool = False
    runs: int = 200
    via_ir: bool = False
    evm_version: str | None = None
    bytecode_hash: str = "ipfs"
    cbor_metadata: bool = True
    optimizer_details: Mapping[str, Any] | None = None
    experimental: bool = False


WARNING_CODES: Final[Mapping[str, int]] = {
    "license": 1878, "constructor-visibility": 2462, "code-size": 5574, "init-code-size": 3860,
    "func-mutability": 2018, "unused-var": 2072, "unused-param": 5667, "unused-return": 9302,
    "virtual-interfaces": 5815, "missing-receive-ether": 3628, "shadowing": 2519, "same-varname": 8760,
    "unnamed-return": 6321, "unreachable": 5740, "pragma-solidity": 3420, "transient-storage": 2394,
    "too-many-warnings": 4591, "transfer-deprecated": 9207, "natspec-memory-safe-assembly-deprecated": 2424,
}  # fmt: skip
"""Codes of solc's warnings by the names that forge 1.7.1 gives them."""
_IGNORED_WARNINGS: Final = (
    "license", "code-size", "init-code-size", "transient-storage", "transfer-deprecated",
    "natspec-memory-safe-assembly-deprecated",
)  # fmt: skip


class WarningSettings(NamedTuple):
    """Treatment of the compiler's warnings: those that are not shown, and whether the others are errors."""

    are_errors: bool = False
    ignored: frozenset[int] = frozenset()
    ignored_by_path: tuple[tuple[str, frozenset[int]], ...] = ()
    """Codes that are ignored in sources below a path."""
    ignored_paths: tuple[str, ...] = ()

    def shows(self, code: int, file: str | None) -> bool:
        """Return True if a warning is shown; `file` is None if it is not about a source."""
        if code in self.ignored:
            return False
        if file is None:
            return True
        paths = *self.ignored_paths, *(path for path, codes in self.ignored_by_path if code in codes)
        return not any(PurePosixPath(file).is_relative_to(path) for path in paths)


@dataclass(frozen=True, slots=True)
class Project:
    """Settings of a project. Paths are relative to `root`, with slashes.

    Gas is Ethereum's, amounts are in attoFIL (wei), times in seconds.
    """

    root: Path
    profile: str = "default"
    profiles: tuple[str, ...] = ("default",)
    """All profiles of foundry.toml."""
    src: str = "src"
    test: str = "test"
    script: str = "script"
    out: str = "out"
    cache: str = "cache"
    libs: tuple[str, ...] = ("lib",)
    remappings: tuple[Remapping, ...] = ()
    skip: tuple[str, ...] = ()
    compiler: CompilerSettings = field(default_factory=CompilerSettings)
    compilers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Globs of sources that other compilers compile in addition, by the compiler's name (`other_compiler`)."""
    warnings: WarningSettings = field(default_factory=WarningSettings)
    fork: str = ""
    """Fork whose rules execute the tests, instead of that of the EVM version; not set by foundry.toml."""
    extra_output: tuple[str, ...] = ()
    """Further output of the compiler; of these only `storageLayout` is read, for state diffs."""
    force: bool = False
    """True if cached sources are compiled again."""
    fuzz: FuzzSettings = field(default_factory=FuzzSettings)
    invariant: InvariantSettings = field(default_factory=InvariantSettings)
    mutation: MutationConfig = field(default_factory=MutationConfig)
    fs_permissions: tuple[tuple[str, str], ...] = ()
    """Access (`read`, `write`, `read-write`, `none`) and path."""
    ffi: bool = False
    offline: bool = False
    """True if no compiler is downloaded."""
    forks_offline: bool = False
    """True if forks are read from the cache only (`--offline`); not set by foundry.toml."""
    consent: Grant = field(default_factory=Grant)
    """Permissions granted by the user; not set by foundry.toml."""
    allow_internal_expect_revert: bool = False
    assertions_revert: bool = True
    allow_test_fail: bool = False
    """True if `testFail*` are tests that must fail, as in forge before 1.0."""
    isolate: bool | None = False
    """True if each call of a test contract is a separate transaction. None is foundry.toml's default: only under
    Ethereum's rules."""
    dynamic_test_linking: bool = False
    """True if tests load the project's contracts by name; foundry.toml's default."""
    always_use_create_2_factory: bool = False
    """True if CREATE2 of a test contract is a call of the default deployer."""
    gas_limit: int = 1 << 30
    snapshots: str = "snapshots"
    test_failures: str = "cache/test-failures"
    """File with the names of the tests that failed in the last run."""
    gas_snapshot_check: bool = False
    gas_snapshot_emit: bool = True
    shows_progress: bool = False
    verbosity: int = 0
    gas_reports: tuple[str, ...] = ("*",)
    """Contracts in the gas report: all of them if empty or if it contains `*`."""
    gas_reports_ignore: tuple[str, ...] = ()
    gas_reports_include_tests: bool = False
    """True if the gas report includes test functions."""
    code_size_limit: int | None = None
    """Limit in bytes. None: unlimited under Ethereum's rules, as in forge; the network's limit under Filecoin's."""
    block_number: int = 1
    timestamp: int = 1
    chain_id: int = 31337
    base_fee: int = 0
    coinbase: str = "0x" + "00" * 20
    initial_balance: int = (1 << 96) - 1
    sender: str = DEFAULT_SENDER
    rpc_endpoints: Mapping[str, str] = field(default_factory=dict)
    eth_rpc_url: str | None = None
    """Node to fork from, by URL or by its alias in `rpc_endpoints`."""
    fork_block_number: int | None = None
    rpc_cache: str = "remote"
    """Nodes whose responses are cached on disk: `all`, `remote` (on other machines) or `none`."""
    symbolic: SymbolicSettings = field(default_factory=SymbolicSettings)
    """Bounds of symbolic tests; not set by foundry.toml."""
    precompiles: tuple[Precompile, ...] = ()
    """WASM modules that contracts may call by address."""
    match: Mapping[str, str] = field(default_factory=dict)
    """Test filters of the project: `match_test`, `no_match_path` and so on."""
    unknown_keys: tuple[str, ...] = ()
    """Warnings for keys and environment variables that forge does not know either."""

    def in_gas_report(self, contract: str) -> bool:
        """Return True if a contract is in the gas report; listing it takes precedence over ignoring it."""
        if contract in self.gas_reports_ignore:
            return contract in self.gas_reports
        return not self.gas_reports or "*" in self.gas_reports or contract in self.gas_reports

    def is_skipped(self, path: str) -> bool:
        """Return True if a source matches the globs of `skip` (`test` and `script` mean their file extensions)."""
        names = {"test": "*.t.sol", "tests": "*.t.sol", "script": "*.s.sol", "scripts": "*.s.sol"}
        return any(fits(path, names.get(glob, glob)) for glob in self.skip)


def find_root(start: Path) -> Path:
    """Return the nearest folder with `foundry.toml`, here or above. Raises InvalidInput if there is none."""
    place = start.resolve()
    for folder in (place, *place.parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise InvalidInput(f"there is no {CONFIG_FILE} in {start} or its parents; name the folder of a Foundry project")


def load_project(root: Path, profile: str | None = None, settings: Mapping[str, Any] | None = None) -> Project:
    """Read a project. `profile` defaults to FOUNDRY_PROFILE, then to `default`.

    In descending order of precedence: `settings` (options), the environment, foundry.toml.
    Raises InvalidInput naming the file, the variable or the option.
    """
    environment = environment_settings(os.environ)
    file = config_file(root)
    content = read_config(file)
    try:
        name, missing = select_profile(Table(content), profile, environment.profile)
        table = Table(merge_profile(Table(content), name))
        project, automatic = check_project(root, name, table), table.flag("auto_detect_remappings", True)
        own = merge_profile(Table(content), name, falls_back=False)
        unknown = (
            *missing,
            *(f"warning: {file.name}: {text}" for text in unknown_keys(content, own, table.read_keys)),
            *unknown_variables(environment.names, table.read_keys),
        )
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    table = Table(_with_environment(root, name, table, environment))
    first = environment.remappings
    if environment.settings:
        project, automatic = check_project(root, name, table), table.flag("auto_detect_remappings", True)
    if settings:
        try:
            project = check_project(root, name, Table(_with_settings(table, settings)))
            first = (*(Remapping.parse(text) for text in settings.get("remappings", ())), *first)
        except InvalidInput as error:
            raise InvalidInput(f"command line: {error}") from None
    try:
        remappings = all_remappings(root, first, project.remappings, project.libs, automatic)
    except OSError as error:
        raise InvalidInput(f"libs: {error.filename} cannot be read: {error.strerror}") from None
    profiles = tuple(dict.fromkeys((DEFAULT, *Table(content).table("profile"))))
    return replace(project, remappings=remappings, unknown_keys=unknown, profiles=profiles)


def _with_environment(root: Path, name: str, table: Table, environment: EnvironmentSettings) -> dict[str, Any]:
    """Return the profile with the environment's values applied. Raises InvalidInput naming the variable."""
    values = table.all_values()
    for setting in environment.settings:
        values = setting.apply_to(values)
        try:
            check_project(root, name, Table(values))
        except InvalidInput as error:
            raise InvalidInput(f"{setting.variable}: {error}") from None
    return values


def check_project(root: Path, name: str, table: Table) -> Project:
    """Return the project of a profile. Raises InvalidInput for a wrong value, or a folder that it may not be."""
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
    searched = [("src", project.src), ("test", project.test), ("script", project.script)]
    for key, folder in (*searched, *(("libs", lib) for lib in project.libs)):
        if (root / folder).resolve() in root.resolve().parents:
            raise InvalidInput(f"{key} is '{folder:.80}', which contains the project {root}: name a folder in it")
    return project


def _with_settings(table: Table, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile with options applied; `skip` globs are added to those of the profile."""
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
        compilers={name: table.table("compilers").texts(name) for name in table.table("compilers")},
        warnings=_warnings(table),
        extra_output=table.texts("extra_output"),
        force=table.flag("force", False),
        fuzz=_fuzz(table.table("fuzz")),
        invariant=_invariant(table.table("invariant")),
        mutation=_mutation(table.table("mutation")),
        fs_permissions=tuple(_permission(row) for row in table.tables("fs_permissions"))
        if "fs_permissions" in table
        else (("read", table.text("out", "out")),),
        ffi=table.flag("ffi", False),
        offline=table.flag("offline", False),
        allow_internal_expect_revert=table.flag("allow_internal_expect_revert", False),
        assertions_revert=table.flag("assertions_revert", True),
        isolate=table.flag("isolate", True) if "isolate" in table else None,
        dynamic_test_linking=table.flag("dynamic_test_linking", True),
        always_use_create_2_factory=table.flag("always_use_create_2_factory", False),
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
        rpc_cache=_rpc_cache(table),
        precompiles=precompiles_of(table.values("precompiles"), root),
        match={key: table.text(key, "") for key in _FILTERS if key in table},
    )


def _switch(table: Table, name: str, variable: str, default: bool) -> bool:
    """Return a flag, which an environment variable may override."""
    text = os.environ.get(variable)
    if text is None:
        return table.flag(name, default)
    if text not in ("true", "false"):
        raise InvalidInput(f"{variable} is '{text}', expected true or false")
    return text == "true"


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
        experimental=table.flag("experimental", False),
    )


def _warnings(table: Table) -> WarningSettings:
    level = table.value("deny", "never")
    if level not in (True, False, "never", "warnings", "notes"):
        raise InvalidInput(f"deny is {level!r:.60}, expected never, warnings or notes")
    rows = table.value("ignored_error_codes_from", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise InvalidInput(f"ignored_error_codes_from is {rows!r:.60}, expected a list of pairs of a path and codes")
    return WarningSettings(
        are_errors=level not in (False, "never") or table.flag("deny_warnings", False),
        ignored=_codes(table.value("ignored_error_codes", list(_IGNORED_WARNINGS)), "ignored_error_codes"),
        ignored_by_path=tuple((str(path), _codes(codes, "ignored_error_codes_from")) for path, codes in rows),
        ignored_paths=table.texts("ignored_warnings_from"),
    )


def _codes(found: Any, key: str) -> frozenset[int]:
    if not isinstance(found, list):
        raise InvalidInput(f"{key} is {found!r:.60}, expected a list of codes")
    codes: list[Any] = [WARNING_CODES.get(each, each) if isinstance(each, str) else each for each in found]
    for code in codes:
        if not isinstance(code, int) or isinstance(code, bool):
            raise InvalidInput(f"{key} has {code!r:.60}, expected a number or one of {', '.join(WARNING_CODES)}")
    return frozenset(codes)


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
        max_time_delay=table.number("max_time_delay", 0),
        max_block_delay=table.number("max_block_delay", 0),
        **_dictionary(table),
    )


def _mutation(table: Table) -> MutationConfig:
    operators = select_operators(table.texts("exclude_operators"), table.texts("include_operators"))
    return MutationConfig(table.number_or_none("timeout"), operators)


def _dictionary(table: Table) -> dict[str, Any]:
    default = DictionarySettings()
    return {
        "include_storage": table.flag("include_storage", default.include_storage),
        "include_push_bytes": table.flag("include_push_bytes", default.include_push_bytes),
        "max_fuzz_dictionary_addresses": table.number(
            "max_fuzz_dictionary_addresses", default.max_fuzz_dictionary_addresses, U64
        ),
        "max_fuzz_dictionary_values": table.number(
            "max_fuzz_dictionary_values", default.max_fuzz_dictionary_values, U64
        ),
        "max_fuzz_dictionary_literals": table.number(
            "max_fuzz_dictionary_literals", default.max_fuzz_dictionary_literals, U64
        ),
        **_corpus(table),
    }


def _corpus(table: Table) -> dict[str, Any]:
    default = CorpusSettings()
    return {
        "corpus_dir": table.first_text("corpus_dir"),
        "corpus_gzip": table.flag("corpus_gzip", default.corpus_gzip),
        "corpus_min_mutations": table.number("corpus_min_mutations", default.corpus_min_mutations),
        "corpus_min_size": table.number("corpus_min_size", default.corpus_min_size),
        "show_edge_coverage": table.flag("show_edge_coverage", default.show_edge_coverage),
    }


def _permission(row: Table) -> tuple[str, str]:
    if "access" not in row or "path" not in row:
        raise InvalidInput("a row of fs_permissions has no access or no path")
    return row.access("access"), row.text("path", "")


def _rpc_cache(table: Table) -> str:
    """Return the nodes whose responses are cached on disk; URL patterns of forge are treated as `remote`."""
    if table.flag("no_storage_caching", False):
        return "none"
    caching = table.table("rpc_storage_caching")
    endpoints = caching.text("endpoints", "remote")
    chains = caching.value("chains", "all")
    if not isinstance(chains, str | list):
        raise InvalidInput(f"rpc_storage_caching.chains is {chains!r:.60}, expected all, none or a list of chains")
    return "none" if chains == "none" else "all" if endpoints == "all" else "remote"


def _endpoints(table: Table) -> dict[str, str]:
    """Return URLs by alias; an alias with its own settings is a table."""
    found: dict[str, str] = {}
    for alias in table:
        url = table.table(alias).first_text("endpoint", "url") if table.is_table(alias) else table.text(alias, "")
        if url is None:
            raise InvalidInput(f"rpc_endpoints.{alias} has no endpoint")
        found[alias] = url
    return found
