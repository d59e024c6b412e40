"""Proofs of other networks: accounts and storage of Ethereum, finality certificates of Filecoin networks.

Read `ethereum`, `filecoin` and `f3.chain` first; `precompiles` makes them available to contracts.
"""
