"""Serving of a network of this process to a browser: `with explore(network) as url`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from localnet.explorer.application import explorer
from localnet.network import Network
from localnet.rpc.server.server import serving


def explore(network: Network, port: int = 0, artifacts: Sequence[Path] | None = None) -> AbstractContextManager[str]:
    """Serve a network's pages and JSON-RPC on a thread; return the URL. Port 0 selects a free port.

    The server uses the network exclusively until the end. `artifacts` are folders of compiled contracts (default: `out`
    and `artifacts`). Raises OSError if the port is in use.

    >>> from urllib.request import urlopen
    >>> from localnet import Network, explore
    >>> with Network() as network, explore(network) as url:
    ...     urlopen(f"{url}/epoch/0").status
    200
    """
    return serving(network, port, pages=explorer(artifacts))
