"""Execution of independent jobs: on worker processes of this machine, or on a Dask cluster.

Import the modules; this package exports nothing.
"""
