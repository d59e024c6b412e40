"""Ethereum's set of rules, as registered in `pyproject.toml`; Filecoin's is built in.

Parts are named by their import paths, in the form of entry points, and imported on first use. So a machine alone
imports no part of a network, and this package imports no runtime.
"""

from typing import Final

from hypervisor.machine.rules import RuleSet

ETHEREUM: Final = RuleSet(
    machine="runtimes.evm.ethereum:EthereumExecutor",
    network="localnet.rules.ethereum:ethereum_rules",
)
