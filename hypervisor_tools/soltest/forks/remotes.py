"""Connections to nodes by URL: for accounts and slots, and for tipsets."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from hypervisor_tools.soltest.forks.tipsets import TipsetNodes
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import FORK_REQUESTS, OFFLINE
from localnet.fork.remote_chain import RemoteChain, RemoteState

CACHES: Final = {"all": True, "remote": None, "none": False}
"""`ForkSource.caches` by setting."""


class Remotes:
    """Nodes for accounts and slots (`chain`), and nodes for tipsets, actors and blocks."""

    def __init__(self, keeps: str = "remote", offline: bool = False) -> None:
        """Set the nodes whose responses are cached on disk: `all`, `remote` (on other machines) or `none`.

        With `offline`, responses are only read from the cache.
        """
        self._caches = CACHES[keeps]
        self._options = OFFLINE if offline else FORK_REQUESTS
        self._chains: dict[str, RemoteChain] = {}
        self._states: dict[bytes, RemoteState] = {}
        self.tipsets = TipsetNodes(self._caches, self._options)

    def chain(self, url: str) -> RemoteChain:
        """Return a node. Raises InvalidInput for an invalid URL."""
        found = self._chains.get(url)
        if found is None:
            caches = ForkSource(url, options=self._options, caches=self._caches).is_cached
            found = self._chains[url] = RemoteChain(url, caches, self._options)
        return found

    def state(self, url: str, number: int) -> RemoteState:
        """Return the state of a node's network after a block. Raises NodeError, InvalidInput."""
        return self.chain(url).state(number)

    def state_key(self, url: str, number: int) -> bytes:
        """Return a key that identifies this state among all nodes. Raises as `state`."""
        state = self.state(url, number)
        key = sha256(b"%d %b %b" % (number, state.block.hash, url.encode())).digest()
        self._states[key] = state
        return key

    def state_of(self, key: bytes) -> RemoteState:
        """Return the state with a key."""
        return self._states[key]

    def close(self) -> None:
        """Close all connections and files."""
        for chain in self._chains.values():
            chain.close()
        self.tipsets.close()
