"""Routing from a page's address to its view."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from fvm_hypervisor.explorer.answers import LaterAnswer, PageAnswer, PageRequest
from fvm_hypervisor.explorer.site import Site
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import NodeReader

View = Callable[[Site, NodeReader, PageRequest], PageAnswer | LaterAnswer]


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A URL pattern, matched in full, and its view."""

    pattern: re.Pattern[str]
    view: View
    kind: QueryKind = QueryKind.QUERY


def page_route(pattern: str, view: View, kind: QueryKind = QueryKind.QUERY) -> PageRoute:
    """Return a route for a regular expression."""
    return PageRoute(re.compile(pattern), view, kind)
