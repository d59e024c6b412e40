"""Calls, estimates and simulations without effect, with state overrides."""
