"""Redaction of nodes' URLs for messages and logs, and the text of a redirect, which no client of JSON follows.

A separate module, so that naming a node does not import its client.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin

from hypervisor.text import printable

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


def redirect_text(url: str, status: int, location: str | None) -> str | None:
    """Return the error text for a response with a redirect (RFC 9110, section 15.4), None for another status.

    The body of a redirect is no response to the request. A client that follows it sends the request to a server that
    the user has not named.
    """
    if status // 100 != 3:
        return None
    try:
        target = "no URL" if location is None else printable(redacted_url(urljoin(url, location)))
    except ValueError:
        target = "an invalid URL"
    return (
        f"{redacted_url(url)} redirects to {target} (HTTP {status}): redirects are not followed, so pass the final URL"
    )
