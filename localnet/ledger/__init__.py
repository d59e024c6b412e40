"""Data of a chain: tipsets, executions, candidates, settings, planned upgrades, and their index.

Storing and executing are in `localnet.chain`. Read `records`, `index` and `upgrades` first.
"""
