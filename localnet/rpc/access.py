"""Access control by host and origin: this machine, its programs, browser extensions, and configured ones.

A request with another `Host` or `Origin` header is refused. Otherwise a web page could reach a node with unlocked
keys, also through a DNS name of its own that resolves to this machine (DNS rebinding).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """Host names and origins (`https://app.example`) allowed in addition to this machine; `*` allows all."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def refusal(self, host: str, origin: str | None) -> str | None:
        """Return why a request is refused and which option allows it; None if it is accepted."""
        if not is_own_host(host) and not self._names(host):
            name = _hostname(f"//{host}") or host
            return f"host {host!r} is not this machine: use localhost or 127.0.0.1, or start with --allow-host {name}"
        if origin is not None and not is_own_origin(origin) and not {ANY, origin} & set(self.origins):
            return f"origin {origin!r} is not a page of this machine: start with --allow-origin {origin} to allow it"
        return None

    def _names(self, host: str) -> bool:
        return ANY in self.hosts or host in self.hosts or _hostname(f"//{host}") in self.hosts


@lru_cache(64)
def is_own_host(host: str) -> bool:
    """Return True if a Host header names this machine."""
    return _hostname(f"//{host}") in _LOOPBACK


def is_own_origin(origin: str) -> bool:
    """Return True if an Origin header is a page of this machine (any port), a browser extension or a program.

    Browsers send `null` or `scheme://host` (RFC 6454, section 6.1). Any other value is from a program, such as
    titanoboa's `Titanoboa`, which could as well omit the header.
    """
    scheme, separator, _ = origin.partition("://")
    if not separator:
        return origin != "null"
    return scheme.endswith("-extension") or _hostname(origin) in _LOOPBACK


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
