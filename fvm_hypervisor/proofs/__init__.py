"""Proofs of other networks: accounts and storage of Ethereum."""
