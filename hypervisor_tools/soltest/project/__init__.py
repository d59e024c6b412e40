"""Foundry projects: settings of foundry.toml, remappings, sources, and consent for what a checkout may run.

Compilation is in `soltest.compile`. Read `project`, `settings` and `consent` first.
"""
