"""Actors in a machine's state, read and changed without a message."""
