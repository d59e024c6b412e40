"""Interception of a test's calls, and what cheatcodes do to them.

The cheatcodes themselves are in the folder above. Read `interceptor`, `observer` and `storage_hooks` first.
"""
