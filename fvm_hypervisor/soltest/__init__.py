"""Foundry-compatible Solidity tests on the Filecoin VM."""
