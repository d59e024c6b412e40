"""Proofs of other networks: accounts and storage of Ethereum, finality certificates of Filecoin networks."""
