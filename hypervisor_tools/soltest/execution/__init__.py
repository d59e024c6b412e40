"""Execution of a test contract's functions: discovery, deployment, calls and results.

Cheatcodes are in `soltest.cheatcodes`, kinds of tests in `soltest.run` and `soltest.fuzz`. Read `executor`, `stage` and
`discovery` first.
"""
