"""Ethereum's methods: `eth_`, `net_`, `web3_` and `txpool_`.

Read `transactions`, `state` and `blocks` first.
"""
