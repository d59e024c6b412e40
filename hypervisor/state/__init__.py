"""The state tree, and mappings whose writes can be rolled back.

The trees of blocks are in `store.trees`. Read `state_tree` and `undo_map` first.
"""
