"""Solidity's ABI: contract interfaces.

Read `abi`.
"""
