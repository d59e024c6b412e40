"""Bundles of built-in actors: manifests, lookup by name, and the genesis state.

Read `bundle`, `manifest` and `genesis` first.
"""
