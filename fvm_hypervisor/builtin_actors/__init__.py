"""The built-in actors of this project: their Rust sources, the bundle made of them, and the schemas of their state.

It imports nothing of the other packages. What the actors do is specified by filecoin-project/builtin-actors.
"""
