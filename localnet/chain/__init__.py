"""A chain of tipsets: mempool, block production, execution, state retention and planned upgrades.

The data of a chain is in `localnet.ledger`, past tipsets in `localnet.replay`. Read `chain`, `block_production` and
`execution` first.
"""
