"""Command and page that show a transaction's calls, for error messages."""

from __future__ import annotations

from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8545"
"""Default node of commands."""


def trace_command(transaction: str, url: str, default: str = DEFAULT_URL) -> str:
    """Return the command for a transaction of the node at `url`; `default` is the URL the command uses by default."""
    return f"hypervisor trace {transaction}{'' if url == default else f' --rpc-url {url}'}"


def page_of(transaction: str, url: str) -> str:
    """Return the address of a transaction's page at the node at `url` (`localnet.explorer`)."""
    return f"{url.rstrip('/')}/tx/{transaction}"
