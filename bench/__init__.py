"""Measurements of speed, run by `python -m bench`; what they must reach is in targets.toml. None of them is a test."""
