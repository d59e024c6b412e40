"""Unsupported options of `forge test` and `forge script`. Each is rejected with a replacement."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from fvm_hypervisor.cli.foreign_options import ForeignOptions
from fvm_hypervisor.cli.foundry.modes import mutation_options, with_mutated_paths
from fvm_hypervisor.cli.foundry.settings import CHAIN, COMPILER, setting_options, with_default_values

_CHAIN = "--rules selects Ethereum's or Filecoin's rules"
_RATE = "after a node's first refusal, requests are limited to 330 compute units per second"
_COMPILER = "the compiler only generates what tests need: use forge build for other output"
_WATCHED = "the folders src, test and script are watched, and a running test run is never interrupted"
UNSUPPORTED: Final = {
    "--always-use-create-2-factory": "CREATE2 is executed by the contract itself, as in forge by default",
    "--ast": _COMPILER,
    "--block-difficulty": "there is no difficulty since the merge: vm.prevrandao sets the value that replaced it",
    "--block-prevrandao": "vm.prevrandao sets it in a test",
    "--build-info": "build-info is always written with the artifacts",
    "--build-info-path": "build-info is written to out/build-info, as by forge",
    "--celo": _CHAIN,
    "--color": "the output has no colours",
    "--compute-units-per-second": _RATE,
    "--config-path": "the project's foundry.toml is read: --root selects its folder",
    "--create2-deployer": "the deployer is at 0x4e59b44847b379578588920cA78FbF26c0B4956C, as in forge by default",
    "--deny": "warnings do not fail a test run: use forge build --deny",
    "--disable-block-gas-limit": "--gas-limit sets the limit",
    "--disable-labels": "traces always show names of contracts and labels of vm.label",
    "--dump": "--debug --command runs commands of the debugger and prints their output",
    "--dynamic-test-linking": "only changed sources are compiled, regardless of the contracts that tests deploy",
    "--enable-tx-gas-limit": "a test is one transaction with the gas limit of --gas-limit",
    "--etherscan-api-key": "no verification service is used: traces name the project's own contracts",
    "--extra-output": _COMPILER,
    "--extra-output-files": _COMPILER,
    "--fork-retries": "rate-limited and dropped requests are repeated up to five times",
    "--fork-retry-backoff": "the first retry follows after a second; the delay doubles each time",
    "--gas-price": "a test's transactions pay nothing for gas: vm.txGasPrice sets the visible price",
    "--ignored-error-codes": "compiler warnings are not printed",
    "--insecure": "certificates are always verified: SSL_CERT_FILE adds your own authority",
    "--libraries": "libraries are deployed and linked automatically",
    "--live-logs": "-vv prints the logs of tests when their suite has ended",
    "--md": "--json prints one JSON object with all results, --junit JUnit's XML",
    "--memory-limit": "memory is limited by gas",
    "--no-auto-detect": "--use, foundry.toml or the pragmas select the compiler",
    "--no-cache": "results are stored in any case: --force compiles everything again",
    "--no-proxy": "proxies are never used: requests go to the host of the URL",
    "--no-restart": _WATCHED,
    "--no-rpc-rate-limit": _RATE,
    "--remappings-env": "remappings come from foundry.toml, remappings.txt and --remappings",
    "--revert-strings": _COMPILER,
    "--rpc-timeout": "the timeout of a request is 45 seconds, as in forge by default",
    "--trace-depth": "-vvv prints all calls of failing tests, at any depth",
    "--tx-origin": "vm.prank sets it in a test; the default is the sender",
    "--use-literal-content": _COMPILER,
    "--watch-delay": "a run starts when files stop changing",
}
ALWAYS: Final = {"--no-cache": UNSUPPORTED["--no-cache"]}
"""Reasons for options missing in every command that compiles a project."""
ALIASES: Final = {
    "--no-block-gas-limit": "--disable-block-gas-limit",
    "--no-gas-limit": "--disable-block-gas-limit",
    "--no-rate-limit": "--no-rpc-rate-limit",
    "--tx-gas-limit": "--enable-tx-gas-limit",
    "-D": "--deny",
    "-k": "--insecure",
}
"""Other names of the same options."""


class TestCommand(ForeignOptions):
    """The command `hypervisor test`, which recognises forge's options."""

    __test__ = False  # pytest would collect a class named Test*
    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**UNSUPPORTED, **{short: UNSUPPORTED[name] for short, name in ALIASES.items()}}

    own: ClassVar = {"--lab": "select labs with --rules, as in --rules lab:rent"}

    def __init__(self, name: str | None, **settings: Any) -> None:
        """Create the command and append the options for keys of foundry.toml."""
        super().__init__(name, **settings)
        self.params += [*mutation_options(), *setting_options(COMPILER, CHAIN)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, after adding the default value of options that may omit it."""
        return super().parse_args(ctx, with_default_values(with_mutated_paths(args)))


_KEYS = "pass keys with --private-key, --keystore or --account, or let the node sign (--unlocked)"
_ONE_BY_ONE = "transactions are not batched"
_NO_SERVICE = "`hypervisor verify-contract` verifies the sources of a contract after the deployment"
SCRIPT_NOT_HERE: Final = {
    "--aws": _KEYS,
    "--batch": _ONE_BY_ONE,
    "--batch-size": _ONE_BY_ONE,
    "--browser": _KEYS,
    "--debug": "`hypervisor step` debugs a transaction of a node; -vvvv prints every call of a script",
    "--delay": _NO_SERVICE,
    "--etherscan-api-key": _NO_SERVICE,
    "--fork-block-number": "a script runs on the newest state, on which its transactions will be executed",
    "--gcp": _KEYS,
    "--interactive": _KEYS,
    "--interactives": _KEYS,
    "--isolate": "a script's transactions are always simulated one by one, each in its own block",
    "--ledger": _KEYS,
    "--mnemonics": "`hypervisor wallet` shows the keys of a mnemonic: pass them with --private-key",
    "--multi": "a run has one --rpc-url: run the script once for each network",
    "--non-interactive": "the command never prompts",
    "--retries": _NO_SERVICE,
    "--trezor": _KEYS,
    "--turnkey": _KEYS,
    "--verifier": _NO_SERVICE,
    "--verify": _NO_SERVICE,
}


class ScriptCommand(ForeignOptions):
    """The command `hypervisor script`, which recognises the options of forge script."""

    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**ALWAYS, **SCRIPT_NOT_HERE}

    def __init__(self, name: str | None, **settings: Any) -> None:
        """Create the command and append the compiler options."""
        super().__init__(name, **settings)
        self.params += setting_options(COMPILER)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer; an option whose value is optional gets its default."""
        return super().parse_args(ctx, with_default_values(args))
