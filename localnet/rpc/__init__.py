"""Ethereum JSON-RPC over a network: methods, parameters, results, and the HTTP server.

The methods are a thin layer over `localnet.Network`. Sources: the OpenRPC documents of execution-apis, and lotus
node/impl/eth for what differs on Filecoin.

Methods are in the folders by purpose, HTTP and WebSocket in `localnet.rpc.server`. Read `method_table`,
`blocks_and_null_rounds` and `node` first.
"""
