"""The identity of a message, as an object for weak references."""

from __future__ import annotations


class MessageIdentity:
    """An empty object with the lifetime of the message's `CallManager`."""
