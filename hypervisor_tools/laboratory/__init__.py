"""The laboratory: execute messages under chosen rules, report their gas, and compare executions.

Read `sides`, `compare/jobs` and `vectors/conformance` first.
"""
