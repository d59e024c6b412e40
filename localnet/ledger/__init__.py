"""Data of a chain: tipsets, executions, candidates, settings, planned upgrades, and their index."""
