"""Mutation tests of Solidity."""
