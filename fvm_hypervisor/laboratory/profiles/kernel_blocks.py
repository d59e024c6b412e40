"""Blockstore over an invocation's kernel, for actors implemented in Python (outbox, rent).

Reads and writes are kernel operations: only reachable blocks can be read, and each operation is charged.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypervisor.kernel import Kernel
from store.blockstore import Blockstore
from store.cid import DAG_CBOR, Cid, cid_of


class KernelBlocks:
    """A `store.blockstore.Blockstore` of the blocks that one invocation can reach."""

    def __init__(self, kernel: Kernel) -> None:
        self._ipld = kernel.ipld

    def get(self, cid: Cid) -> bytes:
        """Return the data of a reachable block. Raises SyscallError for any other block."""
        stat = self._ipld.open(cid)
        return self._ipld.read(stat.id, 0, stat.size)

    def has(self, cid: Cid) -> bool:
        """Return True if the block is reachable for the invocation."""
        return self._ipld.is_reachable(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Write a DAG-CBOR block through the kernel, which computes the CID; `cid` is ignored."""
        self._ipld.link(self._ipld.create(DAG_CBOR, data))

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Write blocks in the given order. A linked block must come before the blocks that link to it."""
        for cid, data in blocks:
            self.put(cid, data)


def put_cbor(store: Blockstore, data: bytes) -> Cid:
    """Write a DAG-CBOR block and return its CID."""
    cid = cid_of(data, DAG_CBOR)
    store.put(cid, data)
    return cid
