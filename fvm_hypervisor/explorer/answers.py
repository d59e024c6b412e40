"""Requests, responses and errors of the explorer's views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

HTML: Final = "text/html; charset=utf-8"
SVG: Final = "image/svg+xml"
KEEPS_MORE: Final = "a node keeps more with --keep-states N, a Network with keep_states=N"
"""Remedy for a state that was collected."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page request: path parameters and query parameters. `url` is the node's URL as seen by the browser."""

    url: str
    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, otherwise: int, most: int = (1 << 63) - 1) -> int:
        """Return a number from the query string. Raises PageError 400."""
        given = self.query.get(name, "")
        return otherwise if not given else parse_number(given, f"the query's '{name}'", most)


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A response to a page request. `place` is the target of a redirection."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    place: str | None = None


@dataclass(frozen=True, slots=True)
class LaterAnswer:
    """A response computed outside the query threads, because it queries the node itself."""

    make: Callable[[], PageAnswer]


class PageError(Exception):
    """An error page: the status, a title, and the reason with the invalid value."""

    def __init__(self, status: int, title: str, words: str) -> None:
        super().__init__(words)
        self.status, self.title, self.words = status, title, words


def not_found(words: str) -> PageError:
    """Return the 404 error for a valid path to something that does not exist."""
    return PageError(404, "Not found", words)


def malformed(words: str) -> PageError:
    """Return the error for a malformed page address."""
    return PageError(400, "This address cannot be read", words)


def collected(epoch: int, retained: int) -> str:
    """Return the error text for a state that was collected, with the option that keeps more states."""
    return f"the state of epoch {epoch} was collected: states are kept from epoch {retained} on ({KEEPS_MORE})"


def parse_number(text: str, what: str, most: int = (1 << 63) - 1) -> int:
    """Parse a decimal number of at most `most`. Raises PageError 400."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > most:
        raise malformed(f"{what} is {shown(text)}: expected a number from 0 to {most}")
    return int(text)


def shown(text: str, most: int = 80) -> str:
    """Return a quoted value for an error message, truncated if it is long."""
    return f"'{text}'" if len(text) <= most else f"'{text[:most]}...' ({len(text):,} characters)"
