"""Contracts and native actors by their interfaces, as Python calls them."""
