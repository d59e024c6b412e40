"""The explorer: web pages about the network, its calls on both runtimes, and its state.

Pages are rendered on the query threads (`localnet.rpc.server.queries`) within a query's time limit, so no page delays a
block. Nothing is cached: each page reads the chain. Changes are JSON-RPC requests sent by the browser, so a page has
the permissions of any other client of the node.

It reads the chain through the JSON-RPC node. Read `site`, `pages` and `messages` first.
"""
