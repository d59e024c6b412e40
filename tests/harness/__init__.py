"""Helpers of several packages' tests: recorded runs, the reference, ways to set up a machine, a node, a project."""
