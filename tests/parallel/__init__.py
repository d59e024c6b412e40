"""Blocks in parallel, held to serial execution."""
