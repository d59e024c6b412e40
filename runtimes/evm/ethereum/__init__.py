"""Ethereum's rules over the machine's actors: its transactions, gas, refunds, warm sets and forks.

`EthereumExecutor` is what the machine finds under the entry point `ethereum`.
"""

from runtimes.evm.ethereum.executor import EthereumExecutor

__all__ = ["EthereumExecutor"]
