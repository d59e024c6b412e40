"""Traces of a transaction, by re-execution, for people and tools."""
