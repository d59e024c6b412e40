"""Ethereum's rules over the machine's actors: its transactions, gas, refunds, access lists and forks.

The machine loads `EthereumExecutor` through the entry point `ethereum`.
"""

from runtimes.evm.ethereum.executor import EthereumExecutor

__all__ = ["EthereumExecutor"]
