"""Forks of other networks: local networks that start from the state of a node.

Read `forking`, `ethereum_fork` and `node_client` first.
"""
