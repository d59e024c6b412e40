"""Forks of other networks: local networks that start from the state of a node."""
