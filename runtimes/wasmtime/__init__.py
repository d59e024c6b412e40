"""wasmtime for both runtimes: its C functions, engines with pinned settings, and a disk cache of compiled modules.

Read `engine`, `instance` and `raw` first.
"""
