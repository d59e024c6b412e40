"""Ethereum's JSON-RPC over a network: methods, their parameters and answers, and the HTTP server.

A shell over `localnet.Network`: what a method does is done there. Rules: the execution-apis' OpenRPC documents, and
for what differs on Filecoin lotus node/impl/eth.
"""
