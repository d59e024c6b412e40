"""Contracts and native actors as Python objects, by interface, and compilers' debug information."""
