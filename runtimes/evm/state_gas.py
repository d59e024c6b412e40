"""State gas: the gas for bytes of new state, from a reservoir that is part of the gas limit (EIP-8037).

A charge that exceeds the reservoir takes the rest from the frame's execution gas. A refund first repays that gas, then
fills the reservoir. Rules: EIP-8037, as in go-ethereum v1.17.10, core/vm/gascosts.go.
"""

from typing import Final, NamedTuple

from hypervisor.journal import Journal

_KEY: Final = "state gas"


class StateGas(NamedTuple):
    """State gas of a transaction.

    `left` is what is left in the reservoir, `used` the net use so far, and `borrowed` the execution gas that the
    running frame spent on state.
    """

    left: int = 0
    used: int = 0
    borrowed: int = 0


_NONE: Final = StateGas()


class StateGasMeter:
    """The state gas of a transaction, in its journal. The journal restores it when a call fails."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def now(self) -> StateGas:
        """The state gas as seen by the running frame."""
        found: StateGas | None = self._journal.get(_KEY)
        return found or _NONE

    @now.setter
    def now(self, gas: StateGas) -> None:
        self._journal.set(_KEY, gas)

    def charge(self, amount: int) -> int:
        """Use state gas; return the execution gas that the frame must pay for it."""
        left, used, borrowed = self.now
        missing = max(amount - left, 0)
        self.now = StateGas(left - (amount - missing), used + amount, borrowed + missing)
        return missing

    def refund(self, amount: int) -> int:
        """Give state gas back. Return the part that repays execution gas."""
        left, used, borrowed = self.now
        repaid = min(amount, borrowed)
        self.now = StateGas(left + amount - repaid, used - amount, borrowed - repaid)
        return repaid

    def enter(self) -> StateGas:
        """Begin a call; return the caller's state gas for `absorb`."""
        outer = self.now
        if outer.borrowed:
            self.now = outer._replace(borrowed=0)
        return outer

    def absorb(self, outer: StateGas) -> int:
        """End a call that succeeded; return the execution gas that its caller gets, repaid from the reservoir."""
        left, used, borrowed = self.now
        borrowed += outer.borrowed
        repaid = min(left, borrowed)
        self.now = StateGas(left - repaid, used, borrowed - repaid)
        return repaid
