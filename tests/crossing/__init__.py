"""Random call trees across runtimes: contracts and native actors that call each other as instructed.

`python -m tests.crossing` executes each tree twice over one official bundle: contracts run on this project's EVM
runtime, and on the official EVM actor in the native runtime.
"""
