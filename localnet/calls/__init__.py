"""Calls, estimates and simulations without effect, with state overrides.

The rules of a call are in `localnet.rules`. Read `simulate`, `simulation` and `overrides` first.
"""
