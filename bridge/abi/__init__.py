"""Solidity's ABI: contract interfaces, and a strict coder.

Read `abi` and `strict_abi`.
"""
