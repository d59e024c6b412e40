"""Filecoin's trees of blocks: HAMT, AMT and KAMT, bitfields, and paths through them.

The trees read and write blocks through `store.blockstore`. Read `hamt`, `kamt` and `nodes` first.
"""
