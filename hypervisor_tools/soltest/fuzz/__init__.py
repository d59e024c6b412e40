"""Fuzz and invariant tests: inputs, corpus, shrinking and stored failures.

Read `fuzz`, `invariants` and `corpus` first.
"""
