"""Blockstores in memory: buffers and overlays, and a store that bounds its memory.

The protocols are in `store.blockstore`, the store on disk in `store.rocks.database`. Read `memory` first.
"""
