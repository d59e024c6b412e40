"""The explorer: the network, its calls over both runtimes and its state, as pages that a node serves.

Pages are made on the threads that answer questions (`localnet.rpc.questions`), within a question's time, so none holds
up a block. They keep nothing: what they show is asked of the chain each time. Whatever changes something is a request
of JSON-RPC that the browser sends, so a page may do what any client of the node may, and no more.
"""
