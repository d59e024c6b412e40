"""Connections to nodes by URL: for accounts and slots, and for tipsets."""

from __future__ import annotations

from hashlib import sha256

from fvm_hypervisor.soltest.forks.tipsets import TipsetNodes
from localnet.fork.remote_chain import RemoteChain, RemoteState, is_local


class Remotes:
    """Nodes for accounts and slots (`chain`), and nodes for tipsets, actors and blocks."""

    def __init__(self, keeps: str = "remote") -> None:
        """Set the nodes whose responses are cached on disk: `all`, `remote` (on other machines) or `none`."""
        self._rpc_cache = keeps
        self._chains: dict[str, RemoteChain] = {}
        self._states: dict[bytes, RemoteState] = {}
        self.tipsets = TipsetNodes()

    def chain(self, url: str) -> RemoteChain:
        """Return a node. Raises InvalidInput for an invalid URL."""
        found = self._chains.get(url)
        if found is None:
            caches = self._rpc_cache == "all" or (self._rpc_cache == "remote" and not is_local(url))
            found = self._chains[url] = RemoteChain(url, caches)
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
