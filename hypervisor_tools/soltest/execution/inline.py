"""Inline test configuration in comments: `/// forge-config: default.fuzz.runs = 100`.

Rules: forge's. A comment before a contract applies to its `setUp` and to all of its tests. Keys that forge ignores in
comments are refused; unknown ones cause a warning.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor.installation import parse_toml
from hypervisor_tools.soltest.cheatcodes.context import Permission, Settings
from hypervisor_tools.soltest.execution.executor import TestExecutor, evm_version_of, fork_of, sender_of
from hypervisor_tools.soltest.execution.job import check_isolation
from hypervisor_tools.soltest.project.project import Project, check_project
from hypervisor_tools.soltest.project.settings import DEFAULT as DEFAULT_PROFILE
from hypervisor_tools.soltest.project.settings import Table, is_known

_PLACE: Final = re.compile(
    r"(?P<doc>(?:^[ \t]*///[^\n]*\n|^[ \t]*/\*\*.*?\*/[ \t]*\n?)+)[ \t]*"
    r"(?:(?:abstract[ \t]+)?(?P<kind>contract|function)\s+(?P<name>\w+))?",  # optional: comments are read once
    re.MULTILINE | re.DOTALL,
)
_CONTRACT: Final = re.compile(r"^[ \t]*(?:abstract[ \t]+)?contract\s+(\w+)", re.MULTILINE)
_LINE: Final = re.compile(r"forge-config:(?P<text>[^\n]*)")
_TABLES: Final = ("fuzz", "invariant")
_APPLIED: Final = (
    "allow_internal_expect_revert", "always_use_create_2_factory", "assertions_revert", "fs_permissions", "isolate",
    "sender",
)  # fmt: skip
"""Further keys that a comment can set, as in forge; each names a field of `Project`."""
_RENAMED: Final = {"failure_persist_dir": "failures", "show_metrics": "shows_metrics"}
"""Fields of `FuzzSettings` and `InvariantSettings` by their keys."""


def inline_settings(text: str, contract: str) -> dict[str, list[str]]:
    """Return the comments' assignments by function name; the contract's own have the empty name."""
    if "forge-config:" not in text:
        return {}
    starts = [(match.start(), match.group(1)) for match in _CONTRACT.finditer(text)]
    found: dict[str, list[str]] = {}
    for match in _PLACE.finditer(text):
        if match["kind"] is None:
            continue
        lines = [_assignment(line["text"]) for line in _LINE.finditer(match["doc"])]
        if match["kind"] == "contract":
            owner, name = match["name"], ""
        else:
            owner, name = next((name for start, name in reversed(starts) if start <= match.start()), ""), match["name"]
        if lines and owner == contract:
            found.setdefault(name, []).extend(lines)
    return found


def _assignment(text: str) -> str:
    """Return a comment's text as TOML; keys may contain hyphens instead of underscores."""
    key, equals, value = text.removesuffix("*/").strip().partition("=")
    profile, dot, name = key.partition(".")
    return f"{profile}{dot}{name.replace('-', '_')}{equals}{value}"


def configure(executor: TestExecutor, project: Project, found: Mapping[str, list[str]], function: str) -> Project:
    """Apply the comments of a test, or of its contract for an empty name, to later calls; return the settings.

    Raises InvalidInput for a value or a key that a comment cannot set.
    """
    project = configured(project, found, function)
    isolates, rules = project.isolate, executor.setting.rules
    if isolates:
        check_isolation(rules)
    if isolates is None:
        isolates = rules == ETHEREUM
    cheats = executor.cheatcodes
    cheats.settings = replace(with_project(cheats.settings, project), isolates=isolates)
    executor.use(sender_of(project), fork_of(project))
    return project


def with_project(settings: Settings, project: Project) -> Settings:
    """Return the cheatcodes' settings with those of a project that comments can change."""
    return replace(
        settings,
        permissions=[Permission(access, Path(path)) for access, path in project.fs_permissions],
        rpc_endpoints=dict(project.rpc_endpoints),
        evm_version=project.fork.partition("+")[0].lower() or evm_version_of(project),
        internal_reverts=project.allow_internal_expect_revert,
        assertions_revert=project.assertions_revert,
        uses_deployer=project.always_use_create_2_factory,
    )


def configured(project: Project, found: Mapping[str, list[str]], function: str) -> Project:
    """Return the settings of a test; `unknown_keys` are warnings about its comments. Raises InvalidInput."""
    values: dict[str, Any] = {}
    for lines in (found.get("", ()), found.get(function, ()) if function else ()):
        values = _merge(values, _values(project, lines))
    if not values:
        return replace(project, unknown_keys=())
    table = Table(values)
    try:
        parsed = check_project(project.root, project.profile, table)
    except InvalidInput as error:
        raise InvalidInput(f"forge-config: {error}") from None
    changes: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in values.items():
        if key in _TABLES:
            inner = _fields(key, value, table.read_keys, unknown)
            changes[key] = replace(
                getattr(project, key), **{name: getattr(getattr(parsed, key), name) for name in inner}
            )
        elif key == "evm_version":
            changes["compiler"] = project.compiler._replace(evm_version=parsed.compiler.evm_version)
        elif key == "rpc_endpoints":
            changes[key] = {**project.rpc_endpoints, **parsed.rpc_endpoints}
        elif key in _APPLIED:
            if key == "fs_permissions":
                _check_paths(project.root, parsed)
            changes[key] = getattr(parsed, key)
        elif key in table.read_keys or is_known(key):
            raise InvalidInput(f"forge-config: {key} cannot be set in a comment: set it in foundry.toml")
        else:
            unknown.append(f"forge-config: unknown key {key:.80}")
    return replace(project, **changes, unknown_keys=tuple(unknown))


def _check_paths(root: Path, parsed: Project) -> None:
    """Raise InvalidInput for a path outside of the project: consent covers those of foundry.toml only."""
    for _, path in parsed.fs_permissions:
        if not (root / path).resolve().is_relative_to(root.resolve()):
            raise InvalidInput(
                f"forge-config: fs_permissions: {path:.200} is outside of the project: set it in foundry.toml"
            )


def _values(project: Project, lines: Sequence[str]) -> dict[str, Any]:
    """Return the values of assignments; those of the profile take precedence over the default one's."""
    try:
        content = parse_toml("\n".join(lines))
    except ValueError as error:
        raise InvalidInput(f"forge-config: {'; '.join(lines)[:200]!r} is not valid TOML: {error}") from None
    for name in content:
        if name not in project.profiles:
            raise InvalidInput(
                f"forge-config: invalid profile {name:.80}; valid profiles: {', '.join(project.profiles)}"
            )
    found: dict[str, Any] = {}
    for name in dict.fromkeys((DEFAULT_PROFILE, project.profile)):
        found = _merge(found, content.get(name) or {})
    return found


def _merge(values: Mapping[str, Any], others: Any) -> dict[str, Any]:
    if not isinstance(others, dict):
        raise InvalidInput(f"forge-config: a profile is {others!r:.60}, expected profile.key = value")
    merged = dict(values)
    for key, value in others.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _fields(table: str, values: Mapping[str, Any], read: Collection[str], unknown: list[str]) -> list[str]:
    """Return the fields that the keys of a table set, and add a warning for each unknown key."""
    names = []
    for inner in values:
        key = f"{table}.{inner}"
        if key in read:
            names.append(_RENAMED.get(inner, inner))
        elif is_known(key):
            raise InvalidInput(f"forge-config: {key} is not supported")
        else:
            unknown.append(f"forge-config: unknown key {key:.80}")
    return names
