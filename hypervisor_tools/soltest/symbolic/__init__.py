"""Symbolic tests: exploration of all EVM paths of a test with z3. Import modules here only where z3 is installed.

Read `run`, `path` and `solver` first.
"""
