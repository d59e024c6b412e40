"""Keys of `foundry.toml` that forge supports but this project does not read, and detection of unknown keys.

Names: `forge config` of forge 1.7.1. docs/foundry-flags.md lists them with the supported keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

_BY_TEST = "no: set by a cheatcode in a test"
_OUTPUT = "no: only output that tests need is compiled; use forge build for the rest"
_WARNINGS = "no: compiler warnings are not printed"
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
    "deny": _WARNINGS,
    "dependencies": "no: used by soldeer, whose downloads are found by remappings",
    "disable_block_gas_limit": "no: `gas_limit` sets the limit",
    "dynamic_test_linking": "no: only changed sources are compiled anyway",
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
    "ignored_error_codes": _WARNINGS,
    "ignored_error_codes_from": _WARNINGS,
    "ignored_warnings_from": _WARNINGS,
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
_OTHERS: Final = frozenset(("deny_warnings", "mutation.optimizer_runs", "mutation.via_ir", "optimism"))
"""Keys that forge accepts but `forge config` of 1.7.1 does not print."""
_EXTENDS: Final = "extends"
_TABLES: Final = ("fuzz", "invariant", "mutation", "rpc_storage_caching")
"""Tables whose keys are checked."""
_FREE_TABLES: Final = ("rpc_endpoints", "precompiles", "etherscan")
"""Tables whose keys are chosen by the project."""
_ALIKE: Final = 0.6


def unknown_keys(content: Mapping[str, Any], profile: Mapping[str, Any], read: Collection[str]) -> Iterator[str]:
    """Yield a warning for each key that neither forge nor this project knows, with a similar key.

    `content` is the whole file, `profile` the merged profile, `read` the keys that were read.
    """
    others = {name.strip("[]") for name in NOT_READ}
    sections = {"profile", "fuzz", "invariant", "mutation", "rpc_endpoints", "precompiles", "etherscan", *others}
    for name in content:
        if name not in sections:
            yield _line(f"[{name}]", name, sections)
    known = {*read, *others, *_OTHERS}
    for key, value in profile.items():
        if key == _EXTENDS:
            yield f"warning: foundry.toml: {key} is not supported: the keys of {str(value)[:80]} are ignored"
        elif key not in known:
            yield _line(key, key, known)
        elif key in _TABLES and isinstance(value, dict):
            for inner in value:
                if f"{key}.{inner}" not in known:
                    siblings = [name.partition(".")[2] for name in known if name.startswith(f"{key}.")]
                    yield _line(f"{key}.{inner}", inner, siblings, f"{key}.")


def is_known(key: str) -> bool:
    """Return True for a key that forge knows and this project does not read."""
    return key in NOT_READ or f"[{key}]" in NOT_READ or key in _OTHERS


def unknown_variables(keys: Mapping[str, str], read: Collection[str]) -> Iterator[str]:
    """Yield a warning for each environment variable (`keys`: its key) that sets an unknown key."""
    known = {*read, *(name for name in NOT_READ if not name.startswith("[")), *_OTHERS}
    tables = {name.strip("[]") for name in NOT_READ if name.startswith("[")}
    for variable, key in keys.items():
        if key in known or key.partition(".")[0] in (*tables, *_FREE_TABLES):
            continue
        near = get_close_matches(key, sorted(known), 1, _ALIKE)
        also = f": did you mean FOUNDRY_{near[0].upper().replace('.', '_')}?" if near else ""
        yield f"warning: {variable} sets no key of foundry.toml{also}"


def _line(shown: str, name: str, known: Collection[str], table: str = "") -> str:
    near = get_close_matches(name, sorted(known), 1, _ALIKE)
    return f"warning: foundry.toml: unknown key {shown:.80}" + (f": did you mean {table}{near[0]}?" if near else "")
