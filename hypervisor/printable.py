"""Sanitizing of untrusted text for output: revert reasons, event keys, names in an ABI.

Contract data may contain terminal control codes, bidirectional overrides, fake output lines or incomplete characters.
Unprintable characters are escaped and long texts truncated. Escaping of markup (HTML, rich) is left to the caller.
"""

from __future__ import annotations

from typing import Final

MAX_SHOWN: Final = 300


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Return the text on one line without unprintable characters, truncated to `limit` characters."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escape(char) for char in shown)
    return shown if len(text) <= limit else f"{shown}... ({len(text):,} characters)"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
