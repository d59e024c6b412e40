"""Symbolic tests."""
