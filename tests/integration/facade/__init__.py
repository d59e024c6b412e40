"""Contracts that call built-in actors through the facade: `Relay` hands on bytes, `Typed` uses the interfaces.

`compiled/` is what solc made of them and of bridge/solidity; compile.mjs makes it again.
"""
