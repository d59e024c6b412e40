"""Options of `forge test` that `hypervisor test` does not have: each is refused with what to use instead."""

from __future__ import annotations

from typing import ClassVar, Final

from devtools.cli.foreign_options import ForeignOptions

_FORK = "tests run on a state of their own; `forge test --fork-url URL` runs them on a fork of `hypervisor node`"
_TOML = "the compiler's settings are those of foundry.toml: "
_BLOCK = "foundry.toml has it, as in forge: "
NOT_HERE: Final = {
    "--allow-failure": "the exit status is 1 where a test fails",
    "--block-base-fee-per-gas": f"{_BLOCK}block_base_fee_per_gas",
    "--block-coinbase": f"{_BLOCK}block_coinbase",
    "--block-number": f"{_BLOCK}block_number",
    "--block-timestamp": f"{_BLOCK}block_timestamp",
    "--chain": f"{_BLOCK}chain_id",
    "--contracts": f"{_TOML}src",
    "--debug": "there is no debugger: -vvvvv prints every call",
    "--decode-internal": "-vvvvv prints every call, and a failure has its lines of Solidity",
    "--evm-version": f"{_TOML}evm_version",
    "--flamegraph": "--gas-report has the gas by contract and function",
    "--force": "only what has changed is compiled: delete out/ and cache/ to compile everything",
    "--fork-block-number": _FORK,
    "--fork-url": _FORK,
    "--fuzz-timeout": "--timeout bounds each test, and --fuzz-runs the number of its inputs",
    "--gas-price": "a test's transactions pay nothing for gas",
    "--initial-balance": f"{_BLOCK}initial_balance",
    "--isolate": "a test is one transaction, as in forge without it",
    "--junit": "--json prints one JSON object with all results",
    "--lib-paths": f"{_TOML}libs",
    "--libraries": "libraries are deployed and linked by themselves",
    "--no-cache": "only what has changed is compiled: delete out/ and cache/ to compile everything",
    "--optimize": f"{_TOML}optimizer",
    "--optimizer-runs": f"{_TOML}optimizer_runs",
    "--out": f"{_TOML}out",
    "--remappings": f"{_TOML}remappings, or remappings.txt",
    "--rerun": "the failed tests of a run are listed at its end: --match-test takes their names",
    "--root": "the project is the argument: hypervisor test PATH",
    "--rpc-url": _FORK,
    "--sender": f"{_BLOCK}sender",
    "--show-progress": "a terminal shows what runs for long by itself",
    "--skip": f"{_TOML}skip; --no-match-path leaves out tests",
    "--summary": "the figures of all suites are printed at the end; --json has them for programs",
    "--via-ir": f"{_TOML}via_ir",
    "--watch": "it runs once: what has not changed is not compiled again",
}
_SHORT: Final = {
    "-C": "--contracts",
    "-R": "--remappings",
    "-o": "--out",
    "-r": "--rpc-url",
    "-w": "--watch",
}


class TestCommand(ForeignOptions):
    """`hypervisor test`, which knows forge's options by name."""

    __test__ = False  # for pytest, which takes the name for one of its own
    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**NOT_HERE, **{short: NOT_HERE[name] for short, name in _SHORT.items()}}
