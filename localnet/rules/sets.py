"""The sets of rules of this project, as registered in `pyproject.toml`.

Parts are named by their import paths, in the form of entry points, and imported on first use. So a machine alone
imports no part of a network, and this package imports no runtime.
"""

from typing import Final

from hypervisor.machine.rules import RuleSet

FILECOIN: Final = RuleSet(
    machine="hypervisor.machine.executor:Executor",
    network="localnet.rules.filecoin:filecoin_rules",
    takes_features=True,
)

ETHEREUM: Final = RuleSet(
    machine="runtimes.evm.ethereum:EthereumExecutor",
    network="localnet.rules.ethereum:ethereum_rules",
)
