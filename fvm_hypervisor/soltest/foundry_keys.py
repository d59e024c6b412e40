"""Keys of `foundry.toml` that forge supports and this project does not read, and detection of unknown keys.

Names: `forge config` of forge 1.7.1. docs/foundry-flags.md lists them with the supported keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

_BY_TEST = "no: a cheatcode sets it in a test"
_OUTPUT = "no: the compiler is asked for what tests need; forge build makes the rest"
_WARNINGS = "no: warnings of the compiler are not printed"
_PROFILES = "no: all sources have the same settings"
_COVERAGE = "no: it is of native code that tests call"
NOT_READ: Final[Mapping[str, str]] = {
    "[bind_json]": "no: it is of forge bind-json",
    "[doc]": "no: it is of forge doc",
    "[fmt]": "no: it is of forge fmt",
    "[labels]": "no: `vm.label` names addresses",
    "[lint]": "no: it is of forge lint",
    "[vyper]": "no: sources are Solidity",
    "additional_compiler_profiles": _PROFILES,
    "allow_paths": "no: imports are of the project, its libraries and its `node_modules`",
    "always_use_create_2_factory": "no: CREATE2 is executed where the contract says it",
    "assertions_revert": "no: assertions revert, as by default",
    "ast": _OUTPUT,
    "auto_detect_solc": "no: without `solc` and `--use` the pragmas choose the compiler",
    "block_difficulty": "no: there is none since the merge",
    "block_gas_limit": "no: `gas_limit` is that of blocks, too",
    "block_prevrandao": f"{_BY_TEST}: `vm.prevrandao`",
    "broadcast": "no: scripts' records are read under `broadcast/`",
    "build_info": "no: build-info is always written",
    "build_info_path": "no: build-info is in `out/build-info`",
    "bypass_prevrandao": "no: it is for forks of networks without that word",
    "cache": "no: what is compiled is always kept",
    "celo": "no: rules are Ethereum's or Filecoin's",
    "compilation_restrictions": _PROFILES,
    "create2_deployer": "no: it is at the usual address",
    "create2_library_salt": "no: libraries are deployed one after the other",
    "deny": _WARNINGS,
    "dependencies": "no: it is soldeer's; what soldeer has fetched is found by its remappings",
    "disable_block_gas_limit": "no: `gas_limit` sets the limit",
    "dynamic_test_linking": "no: only what has changed is compiled anyway",
    "enable_tx_gas_limit": "no: a test may use all of `gas_limit`",
    "eth_rpc_accept_invalid_certs": "no: certificates are always verified",
    "eth_rpc_curl": "no: requests are sent, and never printed as commands of curl",
    "eth_rpc_headers": "no: requests have no headers of their own; a token goes into the URL",
    "eth_rpc_jwt": "no: requests carry no JWT; a token goes into the URL",
    "eth_rpc_no_proxy": "no: no proxy is used in any case",
    "eth_rpc_timeout": "no: a request may take 45 seconds, as in forge without the key",
    "etherscan_api_key": "no: no service is asked for sources",
    "extra_output": _OUTPUT,
    "extra_output_files": _OUTPUT,
    "fuzz.sancov_edges": _COVERAGE,
    "fuzz.sancov_trace_cmp": _COVERAGE,
    "fuzz.show_logs": "no: logs are those of the run that is shown",
    "gas_price": f"{_BY_TEST}: `vm.txGasPrice`",
    "hardfork": "no: `evm_version` names the fork that is compiled for, and run",
    "ignored_error_codes": _WARNINGS,
    "ignored_error_codes_from": _WARNINGS,
    "ignored_warnings_from": _WARNINGS,
    "include_paths": "no: imports are of the project, its libraries and its `node_modules`",
    "invariant.call_override": "no: contracts under test are called from outside only",
    "invariant.check_interval": "no: the invariant is asked after each call",
    "invariant.max_block_delay": "no: sequences run in one block; a handler calls `vm.roll`",
    "invariant.max_time_delay": "no: sequences run at one time; a handler calls `vm.warp`",
    "invariant.sancov_edges": _COVERAGE,
    "invariant.sancov_trace_cmp": _COVERAGE,
    "invariant.show_solidity": "no: a sequence is printed call by call",
    "legacy_assertions": "no: assertions are forge-std's and `vm.assert*`",
    "libraries": "no: libraries are deployed and linked by themselves",
    "live_logs": "no: logs are printed with their suite",
    "memory_limit": "no: memory is bounded by its gas",
    "model_checker": "no: it is solc's own",
    "names": "no: it is of forge build",
    "network": "no: `--rules` and `--network` name Filecoin's",
    "no_rpc_rate_limit": "no: requests are spaced only once a node refuses one for its rate",
    "prompt_timeout": "no: there is no terminal in a test",
    "revert_strings": _OUTPUT,
    "script_execution_protection": "no: it is of forge script",
    "sizes": "no: it is of forge build",
    "soldeer": "no: it is soldeer's",
    "sparse_mode": "no: what is not wanted is not compiled anyway",
    "threads": "no: `--threads` says it",
    "transaction_timeout": "no: it is of forge script",
    "tx_origin": f"{_BY_TEST}: `vm.prank`; without it is the sender",
    "unchecked_cheatcode_artifacts": "no: artifacts are those of the run",
    "use_literal_content": _OUTPUT,
}  # fmt: skip
"""Keys that are not read (dotted in tables, sections in brackets), with the reason or the replacement."""
_OTHERS: Final = frozenset(("deny_warnings", "optimism"))
"""Keys that forge accepts but `forge config` does not print."""
_EXTENDS: Final = "extends"
_TABLES: Final = ("fuzz", "invariant", "rpc_storage_caching")
"""Tables whose keys are checked."""
_FREE_TABLES: Final = ("rpc_endpoints", "precompiles", "etherscan")
"""Tables whose keys are chosen by the project."""
_ALIKE: Final = 0.6


def unknown_keys(content: Mapping[str, Any], profile: Mapping[str, Any], read: Collection[str]) -> Iterator[str]:
    """Yield a warning for each key that neither forge nor this project knows, with a similar key.

    `content` is the whole file, `profile` the merged profile, `read` the keys that were read.
    """
    others = {name.strip("[]") for name in NOT_READ}
    sections = {"profile", "fuzz", "invariant", "rpc_endpoints", "precompiles", "etherscan", *others}
    for name in content:
        if name not in sections:
            yield _line(f"[{name}]", name, sections)
    known = {*read, *others, *_OTHERS}
    for key, value in profile.items():
        if key == _EXTENDS:
            yield f"warning: foundry.toml: {key} is not read: no key of the file {str(value)[:80]} counts here"
        elif key not in known:
            yield _line(key, key, known)
        elif key in _TABLES and isinstance(value, dict):
            for inner in value:
                if f"{key}.{inner}" not in known:
                    yield _line(f"{key}.{inner}", f"{key}.{inner}", known)


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


def _line(shown: str, name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), 1, _ALIKE)
    return f"warning: foundry.toml: unknown key {shown:.80}" + (f": did you mean {near[0]}?" if near else "")
