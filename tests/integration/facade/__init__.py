"""Contracts that call built-in actors through the facade: `Relay` forwards bytes, `Typed` uses the interfaces.

`compiled/` contains solc's output for them and for bridge/solidity; compile.mjs regenerates it.
"""
