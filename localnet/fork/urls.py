"""Redaction of nodes' URLs for messages and logs.

A separate module, so that naming a node does not import its client.
"""

from __future__ import annotations

import re
from typing import Final

_PLACE: Final = re.compile(
    r"((?:[a-z][a-z0-9+.-]*:)?//)?(?:[^/?#]*@)?(\[[0-9a-f:.]*\]?|[^:/?#]*)(:\d*(?=[/?#]|$)|:\w*$)?", re.IGNORECASE
)
"""Scheme, host and port of a URL."""


def redacted_url(url: str) -> str:
    """Return a URL for people and logs: scheme, host and port. The rest may hold a user, a password or a token."""
    found = _PLACE.match(url)
    assert found is not None, "each part may be missing"
    scheme, host, port = (part or "" for part in found.groups())
    user = "***@" if "@" in found[0] else ""
    rest = "/***" if url[found.end() :].strip("/") else url[found.end() :]
    return f"{scheme}{user}{host}{port}{rest}"
