"""CAR files: reading, writing, indexes, import and export of states, and selectors.

Read `files`, `transfer` and `selectors` first.
"""
