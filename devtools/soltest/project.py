"""A Foundry project as its `foundry.toml` describes it: folders, compiler, what its tests may do.

Keys that say nothing to a run of tests are passed by. Rules: the Foundry book's configuration reference.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from devtools.soltest.remappings import Remapping, all_remappings
from hypervisor.errors import InvalidInput

CONFIG_FILE: Final = "foundry.toml"
DEFAULT_SENDER: Final = "0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38"


@dataclass(frozen=True, slots=True)
class FuzzSettings:
    """How many runs a fuzz test has, how many inputs it may refuse; the seed, None for any.

    Without `fail_on_revert` a run passes that fails because another contract than the test's has reverted in it.
    With `timeout`, in seconds, a test ends well with the runs that it has by then.
    """

    runs: int = 256
    max_test_rejects: int = 65536
    seed: int | None = None
    dictionary_weight: int = 40
    fail_on_revert: bool = True
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class InvariantSettings:
    """How many sequences of how many calls; whether a call that reverts is a failure; `timeout` as for fuzz tests."""

    runs: int = 256
    depth: int = 500
    fail_on_revert: bool = False
    shrink_run_limit: int = 5000
    max_assume_rejects: int = 65536
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class CompilerSettings:
    """What solc is asked for. `version` None: any; `evm_version` None: the compiler's own default."""

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
    fuzz: FuzzSettings = field(default_factory=FuzzSettings)
    invariant: InvariantSettings = field(default_factory=InvariantSettings)
    fs_permissions: tuple[tuple[str, str], ...] = ()
    """Access (`read`, `write`, `read-write`, `none`) and path."""
    ffi: bool = False
    allow_internal_expect_revert: bool = False
    gas_limit: int = 1 << 30
    block_number: int = 1
    timestamp: int = 1
    chain_id: int = 31337
    base_fee: int = 0
    coinbase: str = "0x" + "00" * 20
    initial_balance: int = (1 << 96) - 1
    sender: str = DEFAULT_SENDER
    rpc_endpoints: Mapping[str, str] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    """Filters of the project itself: `match_test`, `no_match_path` and so on."""

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


def load_project(root: Path, profile: str | None = None) -> Project:
    """Read a project. `profile`: default FOUNDRY_PROFILE, else `default`. Raises InvalidInput."""
    file = root / CONFIG_FILE
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {error}") from None
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    name = profile or os.environ.get("FOUNDRY_PROFILE", "default")
    try:
        return _project(root, name, _Table(_merged(content, name)), content)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None


def _merged(content: Mapping[str, Any], profile: str) -> dict[str, Any]:
    """The default profile with the keys of another over it, and the sections that stand for themselves."""
    profiles = content.get("profile", {})
    if not isinstance(profiles, dict) or (profile != "default" and profile not in profiles):
        raise InvalidInput(f"there is no profile '{profile}'")
    merged: dict[str, Any] = {}
    sections = {name: dict(content[name]) for name in ("fuzz", "invariant", "rpc_endpoints") if name in content}
    for table in (sections, profiles.get("default", {}), profiles.get(profile, {})):
        for key, value in table.items():
            old = merged.get(key)
            merged[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


class _Table:
    """A table of TOML whose values are checked when they are asked for."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix

    def raw(self, *names: str) -> Any:
        return next((self._values[name] for name in names if name in self._values), None)

    def text(self, name: str, default: str) -> str:
        return str(self._of(name, str, default, "text"))

    def flag(self, name: str, default: bool) -> bool:
        return bool(self._of(name, bool, default, "true or false"))

    def number(self, name: str, default: int) -> int:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, str):
            if value in ("max", "u64::MAX"):
                return (1 << 64) - 1
            try:
                return int(value, 0)
            except ValueError:
                pass
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidInput(f"{self._prefix}{name} is {value!r:.40}, expected a number")
        return value

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found = self._of(name, list, default, "a list of texts")
        if not all(isinstance(item, str) for item in found):
            raise InvalidInput(f"{self._prefix}{name} is {found!r:.60}, expected a list of texts")
        return tuple(found)

    def table(self, name: str) -> _Table:
        return _Table(self._of(name, dict, {}, "a table"), f"{self._prefix}{name}.")

    def _of(self, name: str, kind: type, default: Any, what: str) -> Any:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise InvalidInput(f"{self._prefix}{name} is {value!r:.60}, expected {what}")
        return value


def _project(root: Path, name: str, table: _Table, content: Mapping[str, Any]) -> Project:
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
        remappings=all_remappings(
            root, table.texts("remappings", ()), libs, table.flag("auto_detect_remappings", True)
        ),
        skip=table.texts("skip", ()),
        compiler=_compiler(table),
        fuzz=_fuzz(table.table("fuzz")),
        invariant=_invariant(table.table("invariant")),
        fs_permissions=_permissions(table.raw("fs_permissions") or []),
        ffi=table.flag("ffi", False),
        allow_internal_expect_revert=table.flag("allow_internal_expect_revert", False),
        gas_limit=min(table.number("gas_limit", 1 << 30), (1 << 63) - 1),
        block_number=table.number("block_number", 1),
        timestamp=table.number("block_timestamp", 1),
        chain_id=table.number("chain_id", 31337),
        base_fee=table.number("block_base_fee_per_gas", 0),
        coinbase=table.text("block_coinbase", "0x" + "00" * 20),
        initial_balance=table.number("initial_balance", (1 << 96) - 1),
        sender=table.text("sender", DEFAULT_SENDER),
        rpc_endpoints={key: str(value) for key, value in (content.get("rpc_endpoints") or {}).items()},
        match={key: table.text(key, "") for key in _FILTERS if table.raw(key) is not None},
    )


_FILTERS: Final = (
    "match_test", "no_match_test", "match_contract", "no_match_contract", "match_path", "no_match_path",
)  # fmt: skip


def _compiler(table: _Table) -> CompilerSettings:
    version = table.raw("solc_version", "solc")
    runs = table.raw("optimizer_runs")
    evm = table.raw("evm_version")
    return CompilerSettings(
        version=None if version is None else str(version).lstrip("v="),
        optimizer=table.flag("optimizer", runs is not None),
        runs=min(table.number("optimizer_runs", 200), (1 << 32) - 1),
        via_ir=table.flag("via_ir", False),
        evm_version=None if evm is None else str(evm).lower(),
        bytecode_hash=table.text("bytecode_hash", "ipfs"),
        cbor_metadata=table.flag("cbor_metadata", True),
        optimizer_details=table.raw("optimizer_details"),
    )


def _fuzz(table: _Table) -> FuzzSettings:
    runs = os.environ.get("FOUNDRY_FUZZ_RUNS")
    return FuzzSettings(
        runs=int(runs) if runs and runs.isdigit() else table.number("runs", 256),
        max_test_rejects=table.number("max_test_rejects", 65536),
        seed=None if table.raw("seed") is None else table.number("seed", 0),
        dictionary_weight=min(table.number("dictionary_weight", 40), 100),
        fail_on_revert=table.flag("fail_on_revert", True),
        timeout=_timeout(table),
    )


def _invariant(table: _Table) -> InvariantSettings:
    return InvariantSettings(
        runs=table.number("runs", 256),
        depth=table.number("depth", 500),
        fail_on_revert=table.flag("fail_on_revert", False),
        shrink_run_limit=table.number("shrink_run_limit", 5000),
        max_assume_rejects=table.number("max_assume_rejects", 65536),
        timeout=_timeout(table),
    )


def _timeout(table: _Table) -> int | None:
    return None if table.raw("timeout") is None else table.number("timeout", 0)


def _permissions(rows: Any) -> tuple[tuple[str, str], ...]:
    try:
        found = tuple((str(row["access"]), str(row["path"])) for row in rows)
    except (KeyError, TypeError):
        raise InvalidInput(f"fs_permissions is {rows!r:.60}, expected rows of access and path") from None
    names = {"true": "read-write", "True": "read-write", "false": "none", "False": "none"}
    return tuple((names.get(access, access), path) for access, path in found)
