"""Blocks of a node's store, by `Filecoin.ChainReadObj`: the remote side of a `store.blocks.overlay.RemoteStore`."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Final

from localnet.fork.node_client import NodeClient, NodeError, NotCached
from localnet.fork.response_values import cid_json
from store.blocks.overlay import RemoteUnavailable
from store.cid import Cid, has_digest, show

_BLOCKS: Final = "blocks"
"""The block of cache entries that are identified by a CID."""
_NO_BLOCK: Final = ("could not find", "not found")
"""Texts by which nodes report a missing block."""


class NodeBlocks:
    """A `store.blocks.overlay.Remote` that reads blocks from a node. The client is closed by its owner."""

    def __init__(self, client: NodeClient, watch: Callable[[int], None] = lambda _count: None) -> None:
        """Create the remote; `watch` gets the number of requested blocks."""
        self._client, self._watch = client, watch
        self.requested = 0
        self._fetched: list[tuple[Cid, bytes]] = []

    def block(self, cid: Cid) -> bytes | None:
        """Request the bytes of a CID from the node; None if it does not have them. Raises RemoteUnavailable."""
        self.requested += 1
        self._watch(self.requested)
        data = read_block(self._client, cid)
        if data is not None:
            self._fetched.append((cid, data))
        return data

    def take(self) -> tuple[tuple[Cid, bytes], ...]:
        """Return the blocks fetched since the last call, unchecked."""
        fetched = tuple(self._fetched)
        self._fetched.clear()
        return fetched

    def close(self) -> None:
        """Do nothing: another owner closes the client."""


def read_block(client: NodeClient, cid: Cid) -> bytes | None:
    """Return the bytes of a CID from the client's cache or its node; None if the node does not have them.

    Raises RemoteUnavailable. Cached bytes match the CID; others are not verified.
    """
    name = show(cid)
    cached = client.cache.get(_BLOCKS, name)
    data = b"" if cached is None else b64decode(cached)
    if cached is not None and has_digest(cid, data):
        return data
    try:
        response = client.request("Filecoin.ChainReadObj", cid_json(cid))
        data = b64decode(response, validate=True)
        if has_digest(cid, data):
            client.cache.put(_BLOCKS, name, response)
        return data
    except NotCached:
        raise RemoteUnavailable(
            str(NotCached(client.name, f"block {name}", client.cache.missing(_BLOCKS, name)))
        ) from None
    except NodeError as error:
        if error.answered and any(text in str(error) for text in _NO_BLOCK):
            return None
        raise RemoteUnavailable(f"block {name} is not stored here, and {error}") from None
    except (Base64Error, TypeError, ValueError):
        raise RemoteUnavailable(f"block {name} is not stored here, and {client.name} did not return base64") from None
