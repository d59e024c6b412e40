"""Interfaces of actors: schemas, typed bindings, and Solidity functions.

The generated bindings are in `bridge.bindings`. Read `schemas`, `interfaces` and `facade` first.
"""
