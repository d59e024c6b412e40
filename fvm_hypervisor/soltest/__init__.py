"""Solidity tests on the machine."""
