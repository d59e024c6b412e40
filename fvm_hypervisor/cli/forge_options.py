"""Options of `forge test` that `hypervisor test` does not have: each is refused with what to use instead."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from fvm_hypervisor.cli.foreign_options import ForeignOptions
from fvm_hypervisor.cli.foundry_settings import CHAIN, COMPILER, setting_options, with_words

_CHAIN = "contracts run by Ethereum's rules or Filecoin's: --rules"
_RATE = "requests are spaced to 330 compute units a second once a node refuses one for its rate, and not before"
_COMPILER = "the compiler is asked for what tests need: forge build makes the rest"
_WATCHED = "the folders src, test and script are watched, and a run is never stopped for the next"
NOT_HERE: Final = {
    "--always-use-create-2-factory": "CREATE2 is executed where the contract says it, as in forge without it",
    "--ast": _COMPILER,
    "--block-difficulty": "the chain has had no difficulty since the merge: vm.prevrandao sets the word in its place",
    "--block-prevrandao": "vm.prevrandao sets it in a test",
    "--build-info": "build-info is written with the artifacts: there is nothing to switch on",
    "--build-info-path": "build-info goes into out/build-info, as forge's does",
    "--celo": _CHAIN,
    "--color": "the text has no colours",
    "--compute-units-per-second": _RATE,
    "--config-path": "the project's own foundry.toml is read: --root names its folder",
    "--create2-deployer": "the deployer is at 0x4e59b44847b379578588920cA78FbF26c0B4956C, as in forge without it",
    "--deny": "warnings are the compiler's words for people: forge build --deny fails for them",
    "--disable-block-gas-limit": "--gas-limit sets the limit",
    "--disable-labels": "names in traces are those of contracts and vm.label",
    "--dump": "--debug --command takes the debugger's commands, and prints what they answer",
    "--dynamic-test-linking": "only what has changed is compiled, whatever tests deploy",
    "--enable-tx-gas-limit": "a test is one transaction with the gas that --gas-limit says",
    "--etherscan-api-key": "no service is asked for sources: traces name the project's own contracts",
    "--extra-output": _COMPILER,
    "--extra-output-files": _COMPILER,
    "--fork-retries": "a request that a node refuses for its rate, or drops, is sent again up to five times",
    "--fork-retry-backoff": "the first retry comes after a second, each further one after twice the time",
    "--gas-price": "a test's transactions pay nothing for gas: vm.txGasPrice sets what they see",
    "--ignored-error-codes": "warnings of the compiler are not printed",
    "--insecure": "certificates are always verified: SSL_CERT_FILE names an authority of your own",
    "--libraries": "libraries are deployed and linked by themselves",
    "--live-logs": "-vv prints what tests write when their suite has ended",
    "--md": "--json prints one JSON object with all results, --junit JUnit's XML",
    "--memory-limit": "memory is bounded by its gas",
    "--no-auto-detect": "the compiler is the one that --use or foundry.toml names, or that the pragmas choose",
    "--no-cache": "what is compiled is always kept: --force compiles everything all the same",
    "--no-proxy": "no proxy is used in any case: requests go to the host of the URL",
    "--no-restart": _WATCHED,
    "--no-rpc-rate-limit": _RATE,
    "--remappings-env": "remappings come from foundry.toml, remappings.txt and --remappings",
    "--revert-strings": _COMPILER,
    "--rpc-timeout": "a request may take 45 seconds, as in forge without the option",
    "--trace-depth": "-vvv prints the calls of failures, to their ends",
    "--tx-origin": "vm.prank sets it in a test; without it is the sender",
    "--use-literal-content": _COMPILER,
    "--watch-delay": "a run begins as soon as files stop changing",
}
ALWAYS: Final = {"--no-cache": NOT_HERE["--no-cache"]}
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
    """`hypervisor test`, which knows forge's options by name."""

    __test__ = False  # for pytest, which takes the name for one of its own
    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**NOT_HERE, **{short: NOT_HERE[name] for short, name in ALIASES.items()}}

    own: ClassVar = {"--lab": "give labs with --rules, as in --rules lab:rent"}

    def __init__(self, name: str | None, **given: Any) -> None:
        """Make the command, with the options for keys of foundry.toml after its own."""
        super().__init__(name, **given)
        self.params += setting_options(COMPILER, CHAIN)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, after adding the default value of options that may omit it."""
        return super().parse_args(ctx, with_words(args))


_KEYS = "give keys with --private-key, --keystore or --account, or the node signs (--unlocked)"
_ONE_BY_ONE = "each transaction is one of its own"
_NO_SERVICE = "no service for verified sources knows the network here"
SCRIPT_NOT_HERE: Final = {
    "--aws": _KEYS,
    "--batch": _ONE_BY_ONE,
    "--batch-size": _ONE_BY_ONE,
    "--browser": _KEYS,
    "--debug": "`hypervisor step` debugs a transaction of a node; of a script -vvvv prints every call",
    "--delay": _NO_SERVICE,
    "--etherscan-api-key": _NO_SERVICE,
    "--fork-block-number": "a script is run on the newest state, which its transactions meet",
    "--gcp": _KEYS,
    "--interactive": _KEYS,
    "--interactives": _KEYS,
    "--isolate": "a script's transactions are tried one by one, each in a block of its own",
    "--ledger": _KEYS,
    "--mnemonics": "`hypervisor wallet` shows the keys of a mnemonic: --private-key takes them",
    "--multi": "one run has one chain: run the script once for each --rpc-url",
    "--non-interactive": "nothing is asked on the terminal",
    "--retries": _NO_SERVICE,
    "--trezor": _KEYS,
    "--turnkey": _KEYS,
    "--verifier": _NO_SERVICE,
    "--verify": _NO_SERVICE,
}


class ScriptCommand(ForeignOptions):
    """`hypervisor script`, which knows the options of forge script by name."""

    origin = "forge"
    here = "this command"
    reasons: ClassVar = {**ALWAYS, **SCRIPT_NOT_HERE}

    def __init__(self, name: str | None, **given: Any) -> None:
        """Make the command, with the options for the compiler after its own."""
        super().__init__(name, **given)
        self.params += setting_options(COMPILER)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer; an option whose value is optional gets its default."""
        return super().parse_args(ctx, with_words(args))
