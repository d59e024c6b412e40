"""Writes docs/foundry-flags.md: each of forge's options and each key of foundry.toml, with yes, or why not.

An option is there if `hypervisor test --help` has it, a key is read if a value that it cannot have is refused.

python -m tests.docs.foundry_flags_page     make the tables anew (`make cli-page`)
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from devtools.cli.forge_options import ALIASES, NOT_HERE
from devtools.soltest.project import load_project
from hypervisor.errors import InvalidInput
from tests.docs.cli_page import help_of
from tests.docs.forge_names import recorded

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "foundry-flags.md"
_END: Final = "<!-- end of table -->\n"
ELSEWHERE: Final = {
    "--asc": "no: the file is in the order of the contracts",
    "--check": "`--snapshot check`, with `--snap FILE`",
    "--desc": "no: the file is in the order of the contracts",
    "--diff": "`--snapshot diff`, with `--snap FILE`",
    "--diff-sort": "no: the smallest share comes first",
    "--exclude-tests": "contracts with tests are left out; `--no-match-coverage` leaves out their files, too",
    "--include-libs": "no: the project's own sources are counted",
    "--ir-minimum": "the code is the one that is tested, with the project's own settings",
    "--lcov-version": "no: the file is of version 1, which all releases of lcov read",
    "--max": "no: all tests are in the file",
    "--min": "no: all tests are in the file",
}
"""Options of `forge coverage` and `forge snapshot` that have other names here, or none."""

_BY_TEST = "no: a cheatcode sets it in a test"
_NODE = "no: a node has 20 seconds for an answer, and its URL may have a user and a token"
_OUTPUT = "no: the compiler is asked for what tests need; forge build makes the rest"
_WARNINGS = "no: warnings of the compiler are not printed"
_PROFILES = "no: all sources have the same settings"
_COVERAGE = "no: it is of native code that tests call"
KEYS: Final = {
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
    "auto_detect_solc": "no: `solc` or `--use` names the compiler",
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
    "eth_rpc_accept_invalid_certs": _NODE,
    "eth_rpc_curl": _NODE,
    "eth_rpc_headers": _NODE,
    "eth_rpc_jwt": _NODE,
    "eth_rpc_no_proxy": _NODE,
    "eth_rpc_timeout": _NODE,
    "etherscan_api_key": "no: no service is asked for sources",
    "extra_output": _OUTPUT,
    "extra_output_files": _OUTPUT,
    "fuzz.gas_report_samples": "no: all runs count",
    "fuzz.sancov_edges": _COVERAGE,
    "fuzz.sancov_trace_cmp": _COVERAGE,
    "fuzz.show_logs": "no: logs are those of the run that is shown",
    "gas_price": f"{_BY_TEST}: `vm.txGasPrice`",
    "gas_reports_include_tests": "no: test contracts are not in the report",
    "hardfork": "no: `evm_version` names the fork that is compiled for, and run",
    "ignored_error_codes": _WARNINGS,
    "ignored_error_codes_from": _WARNINGS,
    "ignored_warnings_from": _WARNINGS,
    "include_paths": "no: imports are of the project, its libraries and its `node_modules`",
    "invariant.call_override": "no: contracts under test are called from outside only",
    "invariant.check_interval": "no: the invariant is asked after each call",
    "invariant.gas_report_samples": "no: all calls count",
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
    "no_rpc_rate_limit": _NODE,
    "offline": "no: the network is asked only where `--use` names a compiler that is not there",
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
"""The keys that are not read, and why."""
_IN_PART: Final = {"rpc_storage_caching.chains": "in part: `none`, or all chains; a list of chains stands for all"}


def own_options() -> frozenset[str]:
    """The options of `hypervisor test`."""
    return frozenset(re.findall(r"--[a-z][a-z0-9-]*", help_of("test")))


def reads(key: str) -> bool:
    """Whether a value that a key cannot have is refused."""
    table, _, inner = key.rpartition(".")
    wrong = '"wrong"' if key == "optimizer_details" else "{ wrong = 1 }"
    with tempfile.TemporaryDirectory() as folder:
        place = f"profile.default.{table}" if table else "profile.default"
        text = f"[{place}]\n{inner} = {wrong}\n" if not key.startswith("[") else f"{key[1:-1]} = 1\n"
        (Path(folder) / "foundry.toml").write_text(text, encoding="utf-8")
        try:
            load_project(Path(folder))
        except InvalidInput:
            return True
    return False


def replaced(page: str) -> str:
    """The page with its tables as they are now."""
    names = recorded()
    others = [*names["coverage"], *names["snapshot"]]
    rows = {
        "options of forge test": ((option, _here(option)) for option in names["test"]),
        "options of forge coverage and snapshot": ((option, ELSEWHERE.get(option, "yes")) for option in others),
        "keys of foundry.toml": ((key, _IN_PART.get(key, "yes") if reads(key) else KEYS[key]) for key in names["keys"]),
    }
    for title, found in rows.items():
        begin = f"<!-- {title}: make cli-page -->\n"
        before, rest = page.split(begin)
        behind = rest.partition(_END)[2]
        page = f"{before}{begin}{''.join(_table(found))}{_END}{behind}"
    return page


_OTHER_MEANING: Final = {
    "--fail-fast": "yes, behind the first suite that fails",
    "--network": "another one: Filecoin's network versions; `--rules` chooses between Ethereum's rules and Filecoin's",
    "--skip": "yes, a glob for each `--skip`",
    "--watch": "yes, without paths: sources, `foundry.toml` and `remappings.txt` are watched",
}


def _here(option: str) -> str:
    if option in _OTHER_MEANING:
        return _OTHER_MEANING[option]
    reasons: Mapping[str, str] = {**NOT_HERE, **{alias: NOT_HERE[name] for alias, name in ALIASES.items()}}
    return "yes" if option in own_options() else f"no: {reasons[option]}"


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    yield "| name | here |\n|---|---|\n"
    yield from (f"| `{name}` | {words} |\n" for name, words in rows)


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
