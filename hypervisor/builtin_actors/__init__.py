"""The built-in actors: Rust sources, the bundle built from them, the schemas of their state, and official releases.

It imports nothing of the project; `hypervisor.bundles` opens the bundle. Read `loader` and `schemas` first.
Behaviour: filecoin-project/builtin-actors.
"""
