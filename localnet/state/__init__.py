"""Actors in a machine's state, read and changed without a message.

Read `inspection`, `controls` and `actor_interfaces` first.
"""
