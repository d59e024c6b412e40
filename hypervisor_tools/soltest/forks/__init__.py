"""Forks of networks in tests: accounts and slots of a node at a block, read on access.

The cheatcodes are in `soltest.cheatcodes.fork`. Read `origin`, `records` and `tipsets` first.
"""
