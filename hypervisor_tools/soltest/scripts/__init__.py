"""Scripts of Foundry projects: execution on a fork of a node's network, simulation, and sending.

Read `plan`, `sending` and `record` first.
"""
