"""Contracts and native actors as Python objects, by interface, and compilers' debug information.

The ABI coder is in `bridge.abi`. Read `contract`, `native_actor` and `artifacts` first.
"""
