"""Contracts and native actors by their interfaces, as Python calls them, and what compilers say of their code."""
