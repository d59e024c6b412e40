"""Compilation of a project: choice of the compiler, its process, artifacts and caches.

Read `compiling`, `solc` and `artifact` first.
"""
