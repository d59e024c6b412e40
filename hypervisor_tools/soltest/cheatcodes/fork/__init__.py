"""Cheatcodes of forks and of nodes: several networks in one test, and JSON-RPC requests.

The accounts of a fork are in `soltest.forks`. Read `forks`, `fork_states` and `account_forks` first.
"""
