"""The built-in actors' methods as typed Python: one module for each actor.

    network.invoke(address, multisig.approve(7, b""))    # an ApproveReturn

A module has a function for each method, which makes a `bridge.binding.Call`: number, parameters, and how the answer is
read. Parameters and answers of several values are dataclasses with `encode` and `decode`. A method that an actor gives
to everybody goes by its exported number, any other by the small one. Generated from `builtin_actors/schemas`: `make
bindings`.
"""
