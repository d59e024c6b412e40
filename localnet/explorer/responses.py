"""Requests, responses, errors and routes of the explorer's views."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from localnet.explorer.site import Site
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import NodeReader

HTML: Final = "text/html; charset=utf-8"
SVG: Final = "image/svg+xml"
COLLECTED_REMEDY: Final = "a node keeps more with --keep-states N, a Network with keep_states=N"
"""Remedy for a state that was collected."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A search result: the page's URL, its name, and its kind."""

    url: str
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page request: path parameters and query parameters. `url` is the node's URL as seen by the browser."""

    url: str
    path_params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, otherwise: int, maximum: int = (1 << 63) - 1) -> int:
        """Return a number from the query string. Raises PageError 400."""
        value = self.query.get(name, "")
        return otherwise if not value else parse_number(value, f"the query's '{name}'", maximum)


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A response to a page request. `redirect_to` is the URL of a redirection."""

    body: bytes
    status: int = 200
    content_type: str = HTML
    redirect_to: str | None = None


@dataclass(frozen=True, slots=True)
class DeferredResponse:
    """A response computed outside the query threads, because it queries the node itself."""

    make: Callable[[], PageResponse]


class PageError(Exception):
    """An error page: the status, a title, and the reason with the invalid value."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status, self.title, self.text = status, title, text


def not_found(text: str) -> PageError:
    """Return the 404 error for a valid path to something that does not exist."""
    return PageError(404, "Not found", text)


def malformed(text: str) -> PageError:
    """Return the error for a malformed page address."""
    return PageError(400, "This address cannot be read", text)


def collected_text(epoch: int, retained: int) -> str:
    """Return the error text for a state that was collected, with the option that keeps more states."""
    return f"the state of epoch {epoch} was collected: states are kept from epoch {retained} on ({COLLECTED_REMEDY})"


def parse_number(text: str, what: str, maximum: int = (1 << 63) - 1) -> int:
    """Parse a decimal number of at most `maximum`. Raises PageError 400."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > maximum:
        raise malformed(f"{what} is {quote_value(text)}: expected a number from 0 to {maximum}")
    return int(text)


def quote_value(text: str, limit: int = 80) -> str:
    """Return a quoted value for an error message, truncated if it is long."""
    return f"'{text}'" if len(text) <= limit else f"'{text[:limit]}...' ({len(text):,} characters)"


View = Callable[[Site, NodeReader, PageRequest], PageResponse | DeferredResponse]


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A URL pattern, matched in full, and its view."""

    pattern: re.Pattern[str]
    view: View
    kind: QueryKind = QueryKind.QUERY


def page_route(pattern: str, view: View, kind: QueryKind = QueryKind.QUERY) -> PageRoute:
    """Return a route for a regular expression."""
    return PageRoute(re.compile(pattern), view, kind)
