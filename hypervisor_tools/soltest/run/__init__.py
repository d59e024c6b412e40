"""A test run: its session, its worker processes, and the tests of a suite.

Read `session`, `serving` and `run_test` first.
"""
