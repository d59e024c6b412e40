"""Ethereum JSON-RPC over a network: methods, parameters, results, and the HTTP server.

The methods are a thin layer over `localnet.Network`. Sources: the OpenRPC documents of execution-apis, and lotus
node/impl/eth for what differs on Filecoin.
"""
