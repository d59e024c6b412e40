"""The demonstration: a Solidity contract and a native actor call each other on one machine.

`scenario` acts and records, `view` prints, `artifacts` finds the compiled examples.
"""
