"""Typed Python bindings of the built-in actors' methods, one module per actor.

    network.invoke(address, multisig.approve(7, b""))    # an ApproveReturn

Each method has a function that builds a `bridge.actors.binding.Call`: number, parameters, and the decoder of the return
value. Parameters and return values of several fields are dataclasses with `encode` and `decode`. Exported methods have
their exported number, all others the small one. The modules are generated from `hypervisor/builtin_actors/schemas`
by each build and installation, and are not committed. In a clone, run `make environment` to write them.
"""
