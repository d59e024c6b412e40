"""Mutation testing of Solidity sources."""
