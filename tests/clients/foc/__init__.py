"""Filecoin's onchain cloud on a node: its contracts as they are published, and the library that reads them."""
