"""Random trees of calls across the border: contracts and native actors that call each other as they are told.

`python -m tests.crossing` executes each tree twice over one official bundle: contracts by this project's EVM runtime,
and by the official EVM actor in the native runtime.
"""
