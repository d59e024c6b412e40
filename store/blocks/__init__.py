"""Blockstores in memory, buffers and overlays.

The protocols are in `store.blockstore`, the store on disk in `store.rocks.database`. Read `memory`, `buffered` and
`overlay` first.
"""
