"""What others know a message by that outlives what they remember of it: an object for weak references."""

from __future__ import annotations


class MessageIdentity:
    """Lives as long as the message's `CallManager`, one for each, and holds nothing."""
