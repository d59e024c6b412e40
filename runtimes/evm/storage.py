"""A contract's slots: KAMTs whose nodes come and go through the kernel.

Nodes are opened when a slot below them is first asked for and written once by `flush`; each open and each write has the
kernel's checks (reachability, size) and charges. Rules: builtin-actors actors/evm interpreter/system.rs.
"""

from collections.abc import Iterable
from typing import Final

from hypervisor.errors import Fatal
from runtimes.evm.syscalls import Syscalls
from store.cid import Cid, cid_of, codec_of
from store.kamt import Kamt

EMPTY_KAMT_BLOCK: Final = bytes.fromhex("824080")
EMPTY_KAMT: Final = cid_of(EMPTY_KAMT_BLOCK)
"""The root of a tree without slots."""


class KernelBlockstore:
    """The blocks that an actor can reach, as a blockstore for the trees of `store`."""

    def __init__(self, syscalls: Syscalls) -> None:
        self._syscalls = syscalls

    def get(self, cid: Cid) -> bytes:
        """Open and read a block."""
        return self._syscalls.open(cid)

    def has(self, cid: Cid) -> bool:
        """Whether the actor may open the block."""
        return self._syscalls.kernel.ipld.is_reachable(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Create and link a block; what it links must have been put before."""
        if self._syscalls.put(data, codec_of(cid)) != cid:
            raise Fatal("a tree node was put under a CID that is not its own")

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Put blocks in the given order."""
        for cid, data in blocks:
            self.put(cid, data)


class Slots:
    """256-bit slots; an absent one reads 0. The root is read at once, as the official actor does, others on demand."""

    def __init__(self, syscalls: Syscalls, root: Cid | None = None) -> None:
        self._kamt = Kamt(KernelBlockstore(syscalls), root)
        self._untouched = root is None

    def get(self, key: int) -> int:
        """The word in a slot."""
        return self._kamt.get(key)

    def set(self, key: int, value: int) -> bool:
        """Write a word, 0 removing the slot; says whether that changed anything."""
        if self._kamt.get(key) == value:
            return False
        self._kamt.set(key, value)
        self._untouched = False
        return True

    def flush(self) -> Cid:
        """Write the changed nodes and answer the root."""
        return self._kamt.flush()

    def flush_unless_empty(self) -> Cid | None:
        """Write the changed nodes and answer the root, or None where there is no slot."""
        if self._untouched:
            return None
        root = self._kamt.flush()
        return None if root == EMPTY_KAMT else root
