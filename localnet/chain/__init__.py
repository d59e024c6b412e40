"""A chain of tipsets: mempool, block production, execution, state retention and planned upgrades."""
