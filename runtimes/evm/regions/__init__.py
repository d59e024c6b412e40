"""Regions: the blocks of hot code, compiled to WASM functions for a guest's table.

Sessions and frames share the compiler and its regions. docs/engines.md describes the design.

Read `blocks`, `compiler` and `emitter` first.
"""
