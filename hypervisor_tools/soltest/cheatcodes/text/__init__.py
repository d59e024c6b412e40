"""Cheatcodes on text: JSON, TOML and strings.

Read `documents`, `json_values` and `strings` first.
"""
