"""The demonstration: a Solidity contract and a native actor call each other on one machine.

`scenario` executes and records the steps, `view` prints them, and `artifacts` locates the compiled examples.
"""
