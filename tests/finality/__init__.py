"""Comparison of finality certificates with go-f3 (tests/oracle/f3)."""
