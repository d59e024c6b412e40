"""Interfaces of actors: schemas, typed bindings, and the methods in Solidity interfaces.

The generated bindings are in `bridge.bindings`. Read `schemas`, `interfaces` and `exported_methods` first.
"""
