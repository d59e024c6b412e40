"""Benchmarks, run by `python -m bench`; their targets are in targets.toml. None of them is a test."""
