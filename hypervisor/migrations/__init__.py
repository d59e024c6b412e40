"""State migrations between the built-in actors of network versions: a module for each version.

A new version adds a module such as `nv29` and its row in `migration`. Read `migration`, `context` and `nv29` first.
"""
