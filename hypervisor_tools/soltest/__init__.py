"""Foundry-compatible Solidity tests on the Filecoin VM.

A folder for each step from a project to a report. Read `run/session`, `execution/executor` and `cheatcodes/table`
first.
"""
