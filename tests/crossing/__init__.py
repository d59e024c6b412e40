"""Random call trees across runtimes: contracts and native actors that call each other as instructed.

`python -m tests.crossing` executes each tree twice over one official bundle: contracts by this project's EVM runtime,
and by the official EVM actor in the native runtime.
"""
