"""The server: HTTP, WebSockets, threads and dispatch.

The methods are in the neighbouring packages. Read `server`, `dispatch` and `executors` first.
"""
