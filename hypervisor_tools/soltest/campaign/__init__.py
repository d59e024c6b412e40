"""Campaigns: fuzz, invariant, symbolic and mutation tests of a project, in rounds, until nothing new appears.

Read `run` first.
"""
