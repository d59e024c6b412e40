"""Settings of `foundry.toml`: profiles, keys, environment variables, with errors that name the key.

The values of the selected profile are merged with the default profile and sections. Keys that forge supports but this
project does not read are listed, so that unknown keys are detected. Names: `forge config` of forge 1.7.1.
docs/foundry-flags.md lists them with the supported keys.

Environment variables are `FOUNDRY_*`, and those of `DAPP_*` that forge reads. Rules: forge's. `FOUNDRY_` is followed by
a profile key in capitals; after a section's name and an underscore (`FUZZ_`, `INVARIANT_`) the key belongs to that
section. A value is a number, `true`, `false`, a quoted string, a list `[a, b]` or a table `{a = b}`; everything else is
a plain string. `FOUNDRY_` variables take precedence over `DAPP_` ones, and both over `foundry.toml`. `ffi` and
`fs_permissions` cannot be set this way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.project.remappings import Remapping
from hypervisor_tools.soltest.project.tuning import TUNING_KEYS

U32: Final = (1 << 32) - 1
U64: Final = (1 << 64) - 1
U256: Final = (1 << 256) - 1
_ACCESS: Final = ("none", "read", "write", "read-write")
_MAX_KEYWORDS: Final = ("max", "u64::MAX")


class Table:
    """Values by key; `prefix` is the table's own name with a dot. All methods raise InvalidInput.

    `read_keys` collects the keys read from this table and its subtables, with their prefixes.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str = "", read_keys: set[str] | None = None) -> None:
        self._values = values
        self._prefix = prefix
        self.read_keys: set[str] = set() if read_keys is None else read_keys

    def __contains__(self, name: str) -> bool:
        self.value(name)
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def text(self, name: str, default: str) -> str:
        """Return a string without NUL, which no path may contain."""
        value = self._of(name, str, default, "a string")
        return str(value) if "\0" not in value else self._refuse(name, "a string without NUL")

    def first_text(self, *names: str) -> str | None:
        """Return the string of the first of these keys that is set, or None."""
        found = [name for name in names if name in self]
        return self.text(found[0], "") if found else None

    def choice(self, name: str, default: str, *others: str) -> str:
        """Return one of the allowed words."""
        value = self.text(name, default)
        return value if value in (default, *others) else self._refuse(name, f"one of {', '.join((default, *others))}")

    def address(self, name: str, default: str) -> str:
        """Return an Ethereum address in hex."""
        value = self.text(name, default)
        digits = value.removeprefix("0x")
        is_hex = len(digits) == 40 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        return value if is_hex else self._refuse(name, "an address of twenty bytes in hex")

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean."""
        return bool(self._of(name, bool, default, "true or false"))

    def number(self, name: str, default: int, top: int = U32) -> int:
        """Return an integer from 0 to `top`, also given as a string; `max` is 2^64 - 1, or `top` if that is less."""
        value = self.value(name, default)
        if isinstance(value, str):
            if value in _MAX_KEYWORDS:
                return min(top, U64)
            try:
                value = int(value, 0)
            except ValueError:
                self._refuse(name, "a number")
        if not isinstance(value, int) or isinstance(value, bool):
            self._refuse(name, "a number")
        if value < 0:
            self._refuse(name, "a number from 0 on")
        return int(value) if value <= top else self._refuse(name, f"at most 2^{top.bit_length()} - 1")

    def number_or_none(self, name: str, top: int = U32) -> int | None:
        """Return an integer, or None if the key is not set."""
        return self.number(name, 0, top) if name in self else None

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list of strings."""
        found = self._of(name, list, default, "a list of strings")
        if not all(isinstance(item, str) and "\0" not in item for item in found):
            self._refuse(name, "a list of strings")
        return tuple(found)

    def tables(self, name: str) -> list[Table]:
        """Return a list of tables."""
        found = self._of(name, list, [], "a list of tables")
        if not all(isinstance(item, dict) for item in found):
            self._refuse(name, "a list of tables")
        return [Table(item, f"{self._prefix}{name}.", self.read_keys) for item in found]

    def table(self, name: str) -> Table:
        """Return a subtable; an empty one if the key is not set."""
        return Table(self.values(name), f"{self._prefix}{name}.", self.read_keys)

    def values(self, name: str) -> dict[str, Any]:
        """Return the values of a subtable, unchecked."""
        return dict(self._of(name, dict, {}, "a table"))

    def value(self, name: str, default: Any = None) -> Any:
        """Return the value of a key, unchecked."""
        self.read_keys.add(self._prefix + name)
        return self._values.get(name, default)

    def all_values(self) -> dict[str, Any]:
        """Return the values of this table, unchecked."""
        return dict(self._values)

    def is_table(self, name: str) -> bool:
        """Return True if the value of a key is a table."""
        return isinstance(self.value(name), dict)

    def access(self, name: str) -> str:
        """Return a file permission: `read`, `write`, `read-write` or `none`, also given as true or false."""
        value = self.value(name)
        if isinstance(value, bool):
            return "read-write" if value else "none"
        named = {"true": "read-write", "false": "none"}.get(str(value), str(value))
        return named if named in _ACCESS else self._refuse(name, f"true, false or one of {', '.join(_ACCESS)}")

    def _of(self, name: str, kind: type, default: Any, what: str) -> Any:
        value = self.value(name, default)
        return value if value is default or isinstance(value, kind) else self._refuse(name, what)

    def _refuse(self, name: str, expected: str) -> Any:
        raise InvalidInput(f"{self._prefix}{name} is {self._values[name]!r:.60}, expected {expected}")


DEFAULT: Final = "default"
_SECTIONS: Final = ("fuzz", "invariant", "mutation", "rpc_endpoints", "precompiles")
_CAMEL_CASE_BOUNDARY: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")


def select_profile(content: Table, option: str | None, variable: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the profile's name, and a warning if FOUNDRY_PROFILE names a profile that does not exist.

    `option` is the value of an option, `variable` that of FOUNDRY_PROFILE; case is ignored. Raises InvalidInput if the
    option names no profile.
    """
    wanted = variable if option is None else option
    if wanted is None or wanted.lower() == DEFAULT:
        return DEFAULT, ()
    found = next((name for name in content.table("profile") if name.lower() == wanted.lower()), None)
    if found is not None:
        return found, ()
    if option is not None:
        raise InvalidInput(f"there is no profile '{option}'")
    return DEFAULT, (f"warning: FOUNDRY_PROFILE: there is no profile '{wanted:.80}': the default one is used",)


def merge_profile(content: Table, name: str, *, falls_back: bool = True) -> dict[str, Any]:
    """Return a profile, completed by sections of the file and by the default profile.

    As in forge, sections have lower precedence than the default profile if that is the chosen one, and with
    `falls_back` `[invariant]` inherits missing keys from `[fuzz]`. Keys of a profile, but not of its tables, may be in
    kebab or camel case (`via-ir`, `viaIr`); the snake case form takes precedence.
    """
    profiles = content.table("profile")
    sections: dict[str, Any] = {section: content.values(section) for section in _SECTIONS}
    if falls_back:
        sections["invariant"] = sections["fuzz"] | sections["invariant"]
    default = profiles.values(DEFAULT)
    layers = (sections, default) if name == DEFAULT else (default, sections, profiles.values(name))
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in _in_snake_case(layer):
            old = merged.get(key)
            merged[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _in_snake_case(layer: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rows = [
        (_CAMEL_CASE_BOUNDARY.sub("_", name.replace("-", "_")).lower(), name, value) for name, value in layer.items()
    ]
    return [(key, value) for key, name, value in sorted(rows, key=lambda row: row[0] == row[1])]


_BY_TEST = "no: set by a cheatcode in a test"
_OUTPUT = "no: only output that tests need is compiled; use forge build for the rest"
_PROFILES = "no: all sources have the same settings"
_COVERAGE = "no: applies to native code called by tests"
NOT_READ: Final[Mapping[str, str]] = {
    "[bind_json]": "no: used by forge bind-json",
    "[doc]": "no: used by forge doc",
    "[fmt]": "no: used by forge fmt",
    "[labels]": "no: `vm.label` names addresses",
    "[lint]": "no: used by forge lint",
    "[vyper]": "no: sources are Solidity",
    "additional_compiler_profiles": _PROFILES,
    "allow_paths": "no: imports are resolved in the project, its libraries and its `node_modules`",
    "ast": _OUTPUT,
    "auto_detect_solc": "no: without `solc` and `--use` the pragmas choose the compiler",
    "block_difficulty": "no: does not exist since the merge",
    "block_gas_limit": "no: `gas_limit` also applies to blocks",
    "block_prevrandao": f"{_BY_TEST}: `vm.prevrandao`",
    "broadcast": "no: scripts' records are read under `broadcast/`",
    "build_info": "no: build-info is always written",
    "build_info_path": "no: build-info is in `out/build-info`",
    "bypass_prevrandao": "no: for forks of networks without prevrandao",
    "cache": "no: compiled sources are always cached",
    "celo": "no: rules are Ethereum's or Filecoin's",
    "compilation_restrictions": _PROFILES,
    "create2_deployer": "no: always at the default address",
    "create2_library_salt": "no: libraries are deployed by CREATE",
    "dependencies": "no: used by soldeer, whose downloads are found by remappings",
    "disable_block_gas_limit": "no: `gas_limit` sets the limit",
    "enable_tx_gas_limit": "no: a test may use all of `gas_limit`",
    "eth_rpc_accept_invalid_certs": "no: certificates are always verified",
    "eth_rpc_curl": "no: requests are not printed as curl commands",
    "eth_rpc_headers": "no: custom headers are not supported; put a token into the URL",
    "eth_rpc_jwt": "no: JWT is not supported; put a token into the URL",
    "eth_rpc_no_proxy": "no: proxies are never used",
    "eth_rpc_timeout": "no: the timeout is 45 seconds, forge's default",
    "etherscan_api_key": "no: sources are not downloaded",
    "extra_output_files": _OUTPUT,
    "fuzz.sancov_edges": _COVERAGE,
    "fuzz.sancov_trace_cmp": _COVERAGE,
    "fuzz.show_logs": "no: logs of the displayed run are shown",
    "gas_price": f"{_BY_TEST}: `vm.txGasPrice`",
    "hardfork": "no: `evm_version` selects the fork to compile for and run on",
    "include_paths": "no: imports are resolved in the project, its libraries and its `node_modules`",
    "invariant.call_override": "no: contracts under test are only called externally",
    "invariant.check_interval": "no: the invariant is checked after each successful call that may change the state",
    "invariant.sancov_edges": _COVERAGE,
    "invariant.sancov_trace_cmp": _COVERAGE,
    "invariant.show_solidity": "no: a sequence is printed call by call",
    "legacy_assertions": "no: assertions are forge-std's and `vm.assert*`",
    "libraries": "no: libraries are deployed and linked automatically",
    "live_logs": "no: logs are printed with their suite",
    "memory_limit": "no: memory is limited by gas",
    "model_checker": "no: a feature of solc",
    "names": "no: used by forge build",
    "network": "no: `--rules` and `--network` select Filecoin's",
    "no_rpc_rate_limit": "no: requests are only throttled after a node's rate limit error",
    "prompt_timeout": "no: tests have no terminal",
    "revert_strings": _OUTPUT,
    "script_execution_protection": "no: used by forge script",
    "sizes": "no: used by forge build",
    "soldeer": "no: used by soldeer",
    "sparse_mode": "no: only selected sources are compiled anyway",
    "threads": "no: use `--threads`",
    "transaction_timeout": "no: used by forge script",
    "tx_origin": f"{_BY_TEST}: `vm.prank`; the default is the sender",
    "unchecked_cheatcode_artifacts": "no: artifacts are those of the run",
    "use_literal_content": _OUTPUT,
}  # fmt: skip
"""Keys that are not read (dotted in tables, sections in brackets), with the reason or the replacement."""
_OTHERS: Final = frozenset(("mutation.optimizer_runs", "mutation.via_ir", "optimism"))
"""Keys that forge accepts but `forge config` of 1.7.1 does not print."""
_EXTENDS: Final = "extends"
_TABLES: Final = ("fuzz", "invariant", "mutation", "rpc_storage_caching")
"""Tables whose keys are checked."""
_FREE_TABLES: Final = ("rpc_endpoints", "precompiles", "etherscan")
"""Tables whose keys are chosen by the project."""
_ALIKE: Final = 0.6


def unknown_keys(content: Mapping[str, Any], profile: Mapping[str, Any], read: Collection[str]) -> Iterator[str]:
    """Yield the text of a warning for each key that neither forge nor this project knows, with a similar key.

    `content` is the whole file, `profile` the merged profile, `read` the keys that were read.
    """
    others = {name.strip("[]") for name in (*NOT_READ, *TUNING_KEYS)}
    sections = {"profile", "fuzz", "invariant", "mutation", "rpc_endpoints", "precompiles", "etherscan", *others}
    for name in content:
        if name not in sections:
            yield _line(f"[{name}]", name, sections)
        elif f"[{name}]" in TUNING_KEYS:
            yield _without_effect(f"[{name}]")
    known = {*read, *others, *_OTHERS}
    for key, value in profile.items():
        if key == _EXTENDS:
            yield f"{key} is not supported: the keys of {str(value)[:80]} are ignored"
        elif key in TUNING_KEYS or f"[{key}]" in TUNING_KEYS:
            yield _without_effect(key if key in TUNING_KEYS else f"[{key}]")
        elif key not in known:
            yield _line(key, key, known)
        elif key in _TABLES and isinstance(value, dict):
            for inner in value:
                if f"{key}.{inner}" in TUNING_KEYS:
                    yield _without_effect(f"{key}.{inner}")
                elif f"{key}.{inner}" not in known:
                    siblings = [name.partition(".")[2] for name in known if name.startswith(f"{key}.")]
                    yield _line(f"{key}.{inner}", inner, siblings, f"{key}.")


def is_known(key: str) -> bool:
    """Return True for a key that forge knows and this project does not read."""
    return any(key in names or f"[{key}]" in names for names in (NOT_READ, TUNING_KEYS)) or key in _OTHERS


def unknown_variables(keys: Mapping[str, str], read: Collection[str]) -> Iterator[str]:
    """Yield a warning for each environment variable (`keys`: its key) that sets an unknown key."""
    names = (*NOT_READ, *TUNING_KEYS)
    known = {*read, *(name for name in names if not name.startswith("[")), *_OTHERS}
    tables = {name.strip("[]") for name in names if name.startswith("[")}
    for variable, key in keys.items():
        if key in known or key.partition(".")[0] in (*tables, *_FREE_TABLES):
            continue
        near = get_close_matches(key, sorted(known), 1, _ALIKE)
        also = f": did you mean FOUNDRY_{near[0].upper().replace('.', '_')}?" if near else ""
        yield f"warning: {variable} sets no key of foundry.toml{also}"


def _without_effect(key: str) -> str:
    return f"{key} has no effect: {TUNING_KEYS[key]}"


def _line(shown: str, name: str, known: Collection[str], table: str = "") -> str:
    near = get_close_matches(name, sorted(known), 1, _ALIKE)
    return f"unknown key {shown:.80}" + (f": did you mean {table}{near[0]}?" if near else "")


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


class EnvironmentSetting(NamedTuple):
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


class EnvironmentSettings(NamedTuple):
    """All settings of an environment, in ascending order of precedence."""

    settings: tuple[EnvironmentSetting, ...] = ()
    remappings: tuple[Remapping, ...] = ()
    profile: str | None = None
    names: Mapping[str, str] = {}
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
