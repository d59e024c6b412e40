"""Tests of the benchmarks and long-running tools."""
