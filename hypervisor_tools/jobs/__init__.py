"""Execution of independent jobs: on worker processes of this machine.

Import the modules; this package exports nothing.
"""
