"""The sets of rules of this project, as they are registered (`pyproject.toml`). Their parts are loaded when used."""

from typing import Final

from hypervisor.rules import RuleSet

FILECOIN: Final = RuleSet(
    machine="hypervisor.executor:Executor",
    network="localnet.rules.filecoin:filecoin_rules",
)

ETHEREUM: Final = RuleSet(
    machine="runtimes.evm.ethereum:EthereumExecutor",
    network="localnet.rules.ethereum:ethereum_rules",
)
