"""The node's JSON-RPC beside Ethereum's execution-apis: their schemas and their request files."""
