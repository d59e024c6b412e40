"""Files generated from the IPLD schemas of the built-in actors, by `make bindings`.

    bridge/bindings/ACTOR.py        Python: parameters, results, calls; written by each build, not committed
    bridge/solidity/IActor.sol      Solidity: an interface for the ABI facade, and FilecoinTypes.sol
    bridge/solidity/IActor.json     its ABI
    docs/labs/facade.md             the table of all functions

Also generated: the constants that the guest of the fast EVM engine shares with Python (`engine`), in
runtimes/evm/guests/frames/src/tables.rs.
"""
