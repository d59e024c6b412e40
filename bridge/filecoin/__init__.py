"""Filecoin's formats for contracts: parameters, method numbers, events, messages and receipts.

Read `parameters`, `messages` and `receipts` first.
"""
