"""Storage of the active fork and the latest change of forks in the state tree.

They are stored under IDs that no actor has, so that they revert together with the tree.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.forks.records import ForkRecords, SavedForkState
from fvm_hypervisor.soltest.forks.remotes import Remotes
from hypervisor.context import Externs
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID, TokenAmount
from store.cid import RAW, cid_of

MARK: Final = ActorID((1 << 63) - 1)
"""ID whose actor stores the active fork: its number as nonce, its base as balance."""
CHANGE: Final = ActorID(MARK - 1)
"""ID whose actor stores the number of the latest change of forks, as nonce."""
FIRST_OWN_ID: Final = 1 << 40
"""First ID above those of any network, far beyond what an init actor can assign."""
_FIRST_PLACE: Final = 0
"""Place of the fork on which a machine was created."""
_MARKER_CODE: Final = cid_of(b"fork", RAW)


class ForkMarkers:
    """Fork records of the running test in the state tree of one machine."""

    def __init__(self, machine: Hypervisor, remotes: Remotes) -> None:
        self.machine = machine
        self.remotes = remotes
        self.records = ForkRecords()
        """Fork records of the running test."""

        self.first: int | None = None
        """Active fork if the tree stores none: that of a machine created on a fork, at the first base."""

    @property
    def externs(self) -> Externs | None:
        """Chain history from the node of the active fork; None under Ethereum's rules or without a fork."""
        return None

    @property
    def active(self) -> int | None:
        """Number of the active fork, or None."""
        mark = self.machine.state_tree.get_actor(MARK)
        return self.first if mark is None else mark.nonce

    @property
    def base(self) -> int | None:
        """Place of the active fork, or None."""
        mark = self.machine.state_tree.get_actor(MARK)
        if mark is not None:
            return mark.balance
        return None if self.first is None else _FIRST_PLACE

    @staticmethod
    def mark(number: int, base: int) -> tuple[ActorID, ActorState]:
        """Return the actor that stores the active fork."""
        return MARK, ActorState(_MARKER_CODE, nonce=number, balance=TokenAmount(base))

    @property
    def last_change(self) -> int:
        """Number of the latest change of forks that was not reverted; 0 if there is none."""
        change = self.machine.state_tree.get_actor(CHANGE)
        return 0 if change is None else change.nonce

    @staticmethod
    def change(number: int) -> tuple[ActorID, ActorState]:
        """Return the actor that stores the latest change of forks."""
        return CHANGE, ActorState(_MARKER_CODE, nonce=number)

    def holds(self, left: SavedForkState, address: EthAddress) -> bool:
        """Return True if an inactive fork has a written contract at an address."""
        evm, named = self.machine.manifest.code("evm"), Address.delegated(EAM_NAMESPACE, address)
        return any(
            state is not None and state.code == evm and state.delegated_address == named
            for state in left.actors.values()
        )
