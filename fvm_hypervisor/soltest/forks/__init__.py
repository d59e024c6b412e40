"""Forks of networks in tests: accounts and slots of a node at a block, read on access."""
