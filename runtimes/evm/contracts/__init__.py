"""Contracts on Filecoin: the EVM actor, its state, its calls, and the seam of the engines.

The package knows neither an engine nor Ethereum's transactions (`runtimes.evm.frames`, `runtimes.evm.revm`).

Read `actor`, `contract` and `engine` first.
"""
