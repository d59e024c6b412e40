"""Inline test configuration in comments: `/// forge-config: default.fuzz.runs = 100`.

Rules: the Foundry book on inline configuration. A comment before a contract applies to all of its tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from bridge.ethereum_block import ETHEREUM
from fvm_hypervisor.soltest.project import FuzzSettings, InvariantSettings, Project
from fvm_hypervisor.soltest.project_files import check_inside
from hypervisor.errors import InvalidInput

_PLACE: Final = re.compile(
    r"(?P<doc>(?:^[ \t]*///[^\n]*\n|^[ \t]*/\*\*.*?\*/[ \t]*\n?)+)[ \t]*"
    r"(?:abstract[ \t]+)?(?P<kind>contract|function)\s+(?P<name>\w+)",
    re.MULTILINE | re.DOTALL,
)
_CONTRACT: Final = re.compile(r"^[ \t]*(?:abstract[ \t]+)?contract\s+(\w+)", re.MULTILINE)
_LINE: Final = re.compile(r"forge-config:\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>[^\s*]+)")


def inline_settings(text: str, contract: str) -> dict[str, list[tuple[str, str]]]:
    """Return keys and values by function name; the contract's own have the empty name."""
    if "forge-config:" not in text:
        return {}
    starts = [(match.start(), match.group(1)) for match in _CONTRACT.finditer(text)]
    found: dict[str, list[tuple[str, str]]] = {}
    for match in _PLACE.finditer(text):
        lines = [(line["key"], line["value"].strip("\"'")) for line in _LINE.finditer(match["doc"])]
        if match["kind"] == "contract":
            owner, name = match["name"], ""
        else:
            owner, name = next((name for start, name in reversed(starts) if start <= match.start()), ""), match["name"]
        if lines and owner == contract:
            found.setdefault(name, []).extend(lines)
    return found


def flag(project: Project, found: Mapping[str, list[tuple[str, str]]], function: str, name: str) -> bool:
    """Return a flag of the profile for a test; comments take precedence."""
    keys = {name, f"default.{name}", f"{project.profile}.{name}"}
    values = [value for key, value in (*found.get("", ()), *found.get(function, ())) if key in keys]
    return values[-1] == "true" if values else bool(getattr(project, name))


def isolates(project: Project, found: Mapping[str, list[tuple[str, str]]], function: str, rules: str) -> bool:
    """Return True if each call of a test is a separate transaction (empty name: `setUp`). Raises InvalidInput."""
    wanted = flag(project, found, function, "isolate")
    if wanted:
        check_isolation(rules)
    return wanted


def check_isolation(rules: str) -> None:
    """Raise InvalidInput if the rules do not support isolated calls."""
    if rules != ETHEREUM:
        raise InvalidInput(
            f"isolate requires Ethereum's rules, but the tests run under the rules '{rules}': "
            "omit --isolate, set isolate = false in foundry.toml, or run them with --rules ethereum"
        )


def with_settings(
    project: Project, found: Mapping[str, list[tuple[str, str]]], function: str
) -> tuple[FuzzSettings, InvariantSettings]:
    """Return the settings of one test. Raises InvalidInput for a value of the wrong type."""
    fuzz, invariant = project.fuzz, project.invariant
    for key, value in (*found.get("", ()), *found.get(function, ())):
        profile, _, rest = key.partition(".")
        if profile in ("fuzz", "invariant"):
            profile, rest = project.profile, key
        section, _, name = rest.partition(".")
        if profile not in (project.profile, "default"):
            continue
        field = name.replace("-", "_")
        if section == "fuzz" and field in _names(FuzzSettings):
            fuzz = replace(fuzz, **_changes(project, field, key, value))
        elif section == "invariant" and field in _names(InvariantSettings):
            invariant = replace(invariant, **_changes(project, field, key, value))
    return fuzz, invariant


def _names(settings: type[FuzzSettings] | type[InvariantSettings]) -> set[str]:
    return {field.name for field in fields(settings)}


def _changes(project: Project, field: str, key: str, value: str) -> dict[str, Any]:
    if field == "corpus_dir":
        check_inside(project.root, project.root / value, key)
        return {field: value}
    return {field: _value(key, value)}


def _value(key: str, value: str) -> int | bool:
    if value in ("true", "false"):
        return value == "true"
    try:
        return int(value.replace("_", ""), 0)
    except ValueError:
        raise InvalidInput(f"forge-config: {key} is '{value}', expected a number, true or false") from None
