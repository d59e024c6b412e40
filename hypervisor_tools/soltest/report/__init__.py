"""Reports of a run: results, gas, coverage and repeated failures.

Read `report`, `gas` and `coverage` first.
"""
