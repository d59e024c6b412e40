"""Parallel block execution, compared with serial execution."""
