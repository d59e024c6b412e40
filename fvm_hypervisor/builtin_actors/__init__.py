"""The built-in actors of this project: Rust sources, the compiled bundle, and the schemas of their state.

The package imports no other package of the project. Behaviour: filecoin-project/builtin-actors.
"""
