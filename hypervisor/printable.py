"""Text of strangers, fit to be shown: revert reasons, event keys, names in an ABI.

A contract's words can hold anything: codes that a terminal obeys, characters that turn the direction of writing, lines
that look like the program's own, half a character. What is not printable is shown as its escape, and what is long is
cut. Markup (HTML, rich) is left to its writer.
"""

from __future__ import annotations

from typing import Final

MOST_SHOWN: Final = 300


def printable(text: str, most: int = MOST_SHOWN) -> str:
    """The text on one line with nothing hidden in it, cut to `most` characters."""
    shown = text[:most]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    return shown if len(text) <= most else f"{shown}... ({len(text):,} characters)"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
