"""Conformance of the node's JSON-RPC with Ethereum's execution-apis: schemas and request files."""
