"""Which fork is active, and which change of forks was the latest: written in the state tree itself.

They stand under IDs that no actor ever has, so they are taken back with what was done in the tree.
"""

from __future__ import annotations

from typing import Final

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.forks.book import ForkBook, LeftState
from fvm_hypervisor.soltest.forks.remotes import Remotes
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.state_tree import ActorState
from hypervisor.types import EAM_NAMESPACE, ActorID, TokenAmount
from store.cid import RAW, cid_of

MARK: Final = ActorID((1 << 63) - 1)
"""Under which the active fork is written: its number as a nonce, its place as a balance."""
CHANGE: Final = ActorID(MARK - 1)
"""Under which the number of the latest change of forks is written, as a nonce."""
FIRST_OWN_ID: Final = 1 << 40
"""From here on IDs are no network's: no init actor ever gets so far."""
_FIRST_PLACE: Final = 0
"""Where the fork begins that a machine begins on."""
_NOBODY: Final = cid_of(b"fork", RAW)


class ForkMarks:
    """What the state tree of one machine says of the forks of the test that runs."""

    def __init__(self, machine: Hypervisor, remotes: Remotes) -> None:
        self.machine = machine
        self.remotes = remotes
        self.book = ForkBook()
        """That of the test which runs."""

        self.first: int | None = None
        """The fork that is active where the tree says nothing: of a machine on one, which began at the first place."""

    @property
    def active(self) -> int | None:
        """The number of the active fork."""
        mark = self.machine.state_tree.get_actor(MARK)
        return self.first if mark is None else mark.nonce

    @property
    def place(self) -> int | None:
        """The place where the active fork begins."""
        mark = self.machine.state_tree.get_actor(MARK)
        if mark is not None:
            return mark.balance
        return None if self.first is None else _FIRST_PLACE

    @staticmethod
    def mark(number: int, place: int) -> tuple[ActorID, ActorState]:
        """What a tree holds whose active fork is this one."""
        return MARK, ActorState(_NOBODY, nonce=number, balance=TokenAmount(place))

    @property
    def last_change(self) -> int:
        """The number of the latest change of forks that has not been taken back; 0 where there is none."""
        change = self.machine.state_tree.get_actor(CHANGE)
        return 0 if change is None else change.nonce

    @staticmethod
    def change(number: int) -> tuple[ActorID, ActorState]:
        """What a tree holds whose latest change of forks is this one."""
        return CHANGE, ActorState(_NOBODY, nonce=number)

    def holds(self, left: LeftState, address: EthAddress) -> bool:
        """Whether there is a contract at an address on a fork that was left, as far as was written there."""
        evm, named = self.machine.manifest.code("evm"), Address.delegated(EAM_NAMESPACE, address)
        return any(
            state is not None and state.code == evm and state.delegated_address == named
            for state in left.actors.values()
        )
