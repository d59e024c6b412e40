"""Ethereum's formats: addresses, transactions, blobs, tries, blocks, and the interface of an executor.

Conversions to Filecoin's formats are in `bridge.filecoin`. Read `addresses`, `transactions` and `execution` first.
"""
