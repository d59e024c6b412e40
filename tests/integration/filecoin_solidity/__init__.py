"""Solidity libraries for built-in actors, by function: called from a contract, and compared with the native call.

`scripts/filecoin-solidity` compiles a caller for each API of `filecoin-solidity-api` and `@zondax/filecoin-solidity`,
unmodified from npm. `make bridge` runs every case on this project's bundle and an official one, and writes the table of
docs/bridge.md.
"""
