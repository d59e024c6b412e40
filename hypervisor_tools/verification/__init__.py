"""Verification of deployed contracts: compile submitted sources and compare the result with the code on the chain.

Compilers and the comparison of code are in `soltest`. Read `jobs`, `compilation` and `endpoint` first.
"""
