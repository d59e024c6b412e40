"""The `hypervisor` command. It parses arguments, calls a function of a package, and prints the result.

Read `commands`, `main` and `node` first.
"""
