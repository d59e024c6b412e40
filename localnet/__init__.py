"""A local Filecoin network in one process: chain, accounts, transactions, JSON-RPC."""
