"""Mutation testing of Solidity sources.

Read `run`, `operators` and `results` first.
"""
