"""Project settings from environment variables: `FOUNDRY_*`, and those of `DAPP_*` that forge reads.

Rules: forge's. `FOUNDRY_` is followed by a profile key in capitals; after a section's name and an underscore (`FUZZ_`,
`INVARIANT_`) the key belongs to that section. A value is a number, `true`, `false`, a quoted string, a list `[a, b]` or
a table `{a = b}`; everything else is a plain string. `FOUNDRY_` variables take precedence over `DAPP_` ones, and both
over `foundry.toml`. `ffi` and `fs_permissions` cannot be set this way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fvm_hypervisor.soltest.project.remappings import Remapping
from hypervisor.errors import InvalidInput

_UNREAD_SECTIONS: Final = (
    "rpc_endpoints", "etherscan", "fmt", "lint", "doc", "fuzz", "invariant", "labels", "dependencies", "soldeer",
    "vyper", "bind_json",
)  # fmt: skip
_NOT_KEYS: Final = ("remappings", "libraries", "ffi", "fs_permissions")
_PROGRAMS: Final = frozenset((
    "profile", "config", "dir", "disable_nightly_warning", "debug", "lint_ui_testing", "is_nightly_version",
    *_NOT_KEYS,
))  # fmt: skip
"""Suffixes of `FOUNDRY_` variables that are not keys of a profile."""
_OPTIONAL: Final = frozenset((
    "eth_rpc_url", "fork_block_number", "solc", "solc_version", "code_size_limit", "match_test", "no_match_test",
    "match_contract", "no_match_contract", "match_path", "no_match_path", "no_match_coverage", "fuzz.seed",
    "fuzz.timeout", "fuzz.corpus_dir", "invariant.timeout", "invariant.corpus_dir",
))  # fmt: skip
"""Keys that an empty variable unsets; for other keys an empty value is an error."""
_DAPP_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "DAPP_TEST_NUMBER": ("block_number", "fork_block_number"),
    "DAPP_FORK_BLOCK": ("fork_block_number",),
    "DAPP_TEST_TIMESTAMP": ("block_timestamp",),
    "DAPP_BUILD_OPTIMIZE_RUNS": ("optimizer_runs",),
    "DAPP_TEST_FUZZ_RUNS": ("fuzz.runs",),
    "DAPP_TEST_DEPTH": ("invariant.depth",),
}
"""Variables of dapptools with their own names, in ascending order of precedence."""
_NUMBER: Final = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class EnvironmentSetting:
    """The value of a variable for a key (`section.key` in a section); None if the variable unsets the key."""

    variable: str
    key: str
    value: Any

    def apply_to(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """Return a profile in which this value replaces the profile's own."""
        section, _, name = self.key.rpartition(".")
        if not section:
            old = profile.get(name)
            merged = {**old, **self.value} if isinstance(old, dict) and isinstance(self.value, dict) else self.value
            found = {**profile, name: merged}
        else:
            inner = profile.get(section)
            found = {**profile, section: {**(inner if isinstance(inner, dict) else {}), name: self.value}}
        if self.value is None:
            del (found if not section else found[section])[name]
        return found


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """All settings of an environment, in ascending order of precedence."""

    settings: tuple[EnvironmentSetting, ...] = ()
    remappings: tuple[Remapping, ...] = ()
    profile: str | None = None
    config: str | None = None
    """Path of the file that is read instead of `foundry.toml`."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Keys by variable, for the `FOUNDRY_` variables that are settings."""


def environment_settings(environment: Mapping[str, str]) -> EnvironmentSettings:
    """Return the settings in an environment. Raises InvalidInput for a value that is invalid for its kind of key."""
    variables = {name.upper(): (name, value) for name, value in environment.items()}
    own = [
        _setting(*variables[name], name.removeprefix("FOUNDRY_")) for name in _names_with_prefix(variables, "FOUNDRY_")
    ]
    return EnvironmentSettings(
        (*_dapptools_settings(variables), *own),
        tuple(_remappings(environment)),
        environment.get("FOUNDRY_PROFILE"),
        environment.get("FOUNDRY_CONFIG"),
        {setting.variable: setting.key for setting in own},
    )


def _remappings(environment: Mapping[str, str]) -> Iterator[Remapping]:
    variable = "DAPP_REMAPPINGS" if "DAPP_REMAPPINGS" in environment else "FOUNDRY_REMAPPINGS"
    for line in environment.get(variable, "").splitlines():
        try:
            if line.strip():
                yield Remapping.parse(line.strip())
        except InvalidInput as error:
            raise InvalidInput(f"{variable}: {error}") from None


def _names_with_prefix(variables: Mapping[str, Any], prefix: str) -> list[str]:
    ignored = _PROGRAMS if prefix == "FOUNDRY_" else _NOT_KEYS
    found = (name for name in sorted(variables) if name.startswith(prefix))
    return [name for name in found if name.removeprefix(prefix).lower() not in ignored]


def _setting(variable: str, text: str, name: str) -> EnvironmentSetting:
    key = name.lower()
    if any(key.startswith(f"{section}_") for section in _UNREAD_SECTIONS):
        key = key.replace("_", ".", 1)
    value = read_value(text)
    if value is None and key not in _OPTIONAL:
        raise InvalidInput(f"{variable} is empty: give it a value, or unset it")
    return EnvironmentSetting(variable, key, value)


def _dapptools_settings(variables: Mapping[str, tuple[str, str]]) -> Iterator[EnvironmentSetting]:
    """Yield the settings from dapptools variables that forge supports. Empty variables are ignored."""
    for prefix in ("DAPP_", "DAPP_TEST_"):
        for name in _names_with_prefix(variables, prefix):
            variable, text = variables[name]
            if text:
                yield EnvironmentSetting(variable, name.removeprefix(prefix).lower(), read_value(text))
    for name, keys in _DAPP_NUMBERS.items():
        variable, text = variables.get(name, ("", ""))
        if text and not text.isdecimal():
            raise InvalidInput(f"{variable} is '{text:.60}', expected a number")
        yield from (EnvironmentSetting(variable, key, int(text)) for key in keys if text)
    if "DAPP_TEST_ADDRESS" in variables:
        yield EnvironmentSetting(variables["DAPP_TEST_ADDRESS"][0], "sender", variables["DAPP_TEST_ADDRESS"][1])
    variable, text = variables.get("DAPP_BUILD_OPTIMIZE", ("", ""))
    if text and text not in ("0", "1"):
        raise InvalidInput(f"{variable} is '{text:.60}', expected 0 or 1")
    if text:
        yield EnvironmentSetting(variable, "optimizer", text == "1")


def read_value(text: str) -> Any:
    """Return the value of a variable's text; None if it is empty."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        return int(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if len(text) > 1 and text[0] + text[-1] in ("[]", "{}"):
        parts = _parts(text[1:-1])
        if parts is not None and text[0] == "[":
            return [read_value(part) for part in parts]
        rows = [part.partition("=") for part in parts or ()]
        if parts is not None and all(name.strip() and equals for name, equals, _ in rows):
            return {name.strip().strip('"'): read_value(value) for name, _, value in rows}
    return text or None


def _parts(text: str) -> list[str] | None:
    """Split a text at commas outside quotes and brackets; return None if these are unbalanced."""
    parts, depth, is_quoted, begin = [], 0, False, 0
    for at, letter in enumerate(text):
        if letter == '"' and text[at - 1 : at] != "\\":
            is_quoted = not is_quoted
        elif not is_quoted and letter in "[{":
            depth += 1
        elif not is_quoted and letter in "]}":
            depth -= 1
            if depth < 0:
                return None
        elif not is_quoted and not depth and letter == ",":
            parts.append(text[begin:at])
            begin = at + 1
    if depth or is_quoted:
        return None
    return [*parts, text[begin:]] if text[begin:].strip() else parts
