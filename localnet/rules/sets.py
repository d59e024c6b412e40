"""The sets of rules of this project, as they are registered (`pyproject.toml`).

A part is named as an entry point names it, and loaded when it is used. So a machine by itself loads no network's part,
and this package imports no runtime.
"""

from typing import Final

from hypervisor.rules import RuleSet

FILECOIN: Final = RuleSet(
    machine="hypervisor.executor:Executor",
    network="localnet.rules.filecoin:filecoin_rules",
    takes_features=True,
)

ETHEREUM: Final = RuleSet(
    machine="runtimes.evm.ethereum:EthereumExecutor",
    network="localnet.rules.ethereum:ethereum_rules",
)
