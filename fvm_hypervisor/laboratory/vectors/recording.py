"""Recording of an execution's inputs: the blocks that it reads, and the externs' results."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from hypervisor.externs import Externs
from hypervisor.types import ChainEpoch
from store.blockstore import NOTHING, Blockstore, Store
from store.cid import Cid, show

T = TypeVar("T")


class RecordingStore:
    """A `Store` that records the blocks read through it, and reads each block from its base at most once.

    Blocks in `known`, such as those of an official bundle, are neither read from the base nor recorded.
    """

    def __init__(self, base: Store, known: Blockstore | None = None) -> None:
        self._base, self._known = base, known
        self.blocks: dict[Cid, bytes] = {}
        """Blocks in the order of their first read."""
        self.has, self.put, self.put_many = base.has, base.put, base.put_many
        self.metadata, self.all_metadata, self.index = base.metadata, base.all_metadata, base.index

    def get(self, cid: Cid) -> bytes:
        """Return a block. Raises BlockNotFound and the base store's other errors."""
        data = self.blocks.get(cid)
        if data is not None:
            return data
        if self._known is not None and self._known.has(cid):
            return self._known.get(cid)
        data = self.blocks[cid] = self._base.get(cid)
        return data

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        self._base.commit(blocks, metadata, index, expected)

    def close(self) -> None:
        """Do nothing: another owner closes the base store."""


class RecordingExterns:
    """Externs that record requests and results, including missing ones."""

    def __init__(self, externs: Externs) -> None:
        self._externs = externs
        self._digests: dict[tuple[str, int], bytes | None] = {}
        self._tipsets: dict[int, Cid] = {}

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("chain", epoch, self._externs.chain_randomness)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digest("beacon", epoch, self._externs.beacon_randomness)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        found = self._tipsets[epoch] = self._externs.tipset_cid(epoch)
        return found

    def _digest(self, kind: str, epoch: ChainEpoch, ask: Callable[[ChainEpoch], bytes]) -> bytes:
        self._digests[kind, epoch] = None
        found = self._digests[kind, epoch] = ask(epoch)
        return found

    def fields(self) -> dict[str, Any]:
        """Return the recorded randomness and tipset CIDs as vector fields."""
        randomness = [
            {"on": list(request), "ret": None if found is None else b64encode(found).decode()}
            for request, found in sorted(self._digests.items())
        ]
        tipsets = [{"epoch": epoch, "cid": {"/": show(cid)}} for epoch, cid in sorted(self._tipsets.items())]
        return {name: value for name, value in {"randomness": randomness, "tipsets": tipsets}.items() if value}
