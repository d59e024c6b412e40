"""Ethereum's blocks and genesis accounts: headers, execution of whole blocks, import of chains of blocks.

`runtimes.evm.revm` executes their transactions, under the rules of `runtimes.evm.forks`. All modules are public: most
programs need `alloc` only.

Read `block_run`, `headers` and `alloc` first.
"""
