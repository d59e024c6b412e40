"""Filecoin Onchain Cloud on a node: its published contracts, and the library that reads them."""
