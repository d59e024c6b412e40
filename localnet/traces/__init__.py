"""Traces of a transaction, by re-execution, for people and tools.

The formats of Ethereum's tools are in `bridge.traces`. Read `trace`, `ethereum_traces` and `trace_report` first.
"""
