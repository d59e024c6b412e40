"""Changes of the state tree within a call of a session, such as those of forks.

The tree gets what the call has changed, and is changed. Then the guest forgets what it holds
(`guests/revm/src/exchange.rs`), and reads the tree again. A frame that fails undoes the changes since it has begun,
in the guest by its journal, in the tree by the number of changes that the guest still has.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.state.state_tree import StateEngine, TreeMark
from runtimes.evm.revm.session import StateSession

_COUNT: Final = Struct("<I")
_TRANSIENT_SIZE: Final = 20 + 32 + 32
_WARM: Final = Struct("<20sII")
_WARM_SLOT_SIZE: Final = 32 + 4 + 32
NO_WARMTH: Final = bytes(_COUNT.size)


def split_warmth(warmth: bytes) -> tuple[bytes, dict[EthAddress, bytes]]:
    """Return the transient words and the parts of warm accounts, which in this order are one warmth again.

    Source: `write_warmth` in exchange.rs.
    """
    found: dict[EthAddress, bytes] = {}
    begin = at = _COUNT.size + _TRANSIENT_SIZE * _COUNT.unpack_from(warmth)[0]
    while at < len(warmth):
        address, _, count = _WARM.unpack_from(warmth, at)
        end = at + _WARM.size + count * _WARM_SLOT_SIZE
        found[EthAddress(address)], at = warmth[at:end], end
    return warmth[:begin], found


class Exchanges:
    """The changes of one call, within a transaction of the tree."""

    def __init__(self, session: StateSession) -> None:
        self._session, self._tree = session, session.machine.state_tree
        self._marks: list[TreeMark] = []
        self._base = 0
        """Number of marks that are not changes: that of a call in which the kernel takes part."""
        self._held: StateEngine | None = None
        """The tree's engine with changes before the first mark."""

    def __len__(self) -> int:
        return len(self._marks) - self._base

    def begin_kernel(self) -> None:
        """Begin a call in which the kernel changes the tree; the session has nothing to write to it."""
        tree = self._tree
        tree.engine = None
        self._base = 1
        self._marks.append(tree.begin())
        tree.commit()

    def undo_all(self) -> None:
        """Undo all changes, also the kernel's."""
        self._base = 0
        self.undo_after(0)

    def forget(self) -> None:
        """Keep all changes of a call in which the kernel took part."""
        self._base = 0
        self._marks.clear()

    def begin(self, changes: bytes) -> None:
        """Write the changes of the call to the tree; `undo_after` removes them."""
        tree = self._tree
        if not self._marks:
            self._held = tree.held
        tree.held = tree.engine = None
        self._marks.append(tree.begin())
        tree.commit()
        self._session.write_running(changes)

    def undo_after(self, count: int) -> None:
        """Undo all changes but the first ones."""
        count += self._base
        if count < len(self._marks):
            self._tree.begin()
            self._tree.rollback(self._marks[count])
            del self._marks[count:]
            self._session.forget_actors()
            if not count:
                self._end(self._held)

    def keep(self) -> None:
        """Take note that the guest has kept the call."""
        if self._marks:
            self._marks.clear()
            self._end(self._tree.held)
            self._session.note_exchanged()

    def _end(self, held: StateEngine | None) -> None:
        self._tree.engine, self._tree.held = self._session, held
        self._session.note_written()
