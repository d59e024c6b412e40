"""State gas: the gas for bytes of new state, from a reservoir that is part of the gas limit (EIP-8037).

A charge that exceeds the reservoir takes the rest from the frame's execution gas. A refund first repays that gas, then
fills the reservoir. Rules: EIP-8037, as in go-ethereum v1.17.10, core/vm/gascosts.go.
"""

from typing import Final, NamedTuple

from hypervisor.state.undo_map import Journal

_KEY: Final = "state gas"


class StateGas(NamedTuple):
    """State gas of a transaction.

    `reservoir` is the state gas left, `used` the net use so far, and `spilled` the execution gas that the
    running frame spent on state.
    """

    reservoir: int = 0
    used: int = 0
    spilled: int = 0


_NONE: Final = StateGas()


class StateGasMeter:
    """The state gas of a transaction, in its journal. The journal restores it when a call fails."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def current(self) -> StateGas:
        """The state gas as seen by the running frame."""
        found: StateGas | None = self._journal.get(_KEY)
        return found or _NONE

    @current.setter
    def current(self, gas: StateGas) -> None:
        self._journal.set(_KEY, gas)

    def charge(self, amount: int) -> int:
        """Use state gas; return the execution gas that the frame must pay for it."""
        reservoir, used, spilled = self.current
        missing = max(amount - reservoir, 0)
        self.current = StateGas(reservoir - (amount - missing), used + amount, spilled + missing)
        return missing

    def refund(self, amount: int) -> int:
        """Give state gas back. Return the part that repays execution gas."""
        reservoir, used, spilled = self.current
        repaid = min(amount, spilled)
        self.current = StateGas(reservoir + amount - repaid, used - amount, spilled - repaid)
        return repaid

    def enter(self) -> StateGas:
        """Begin a call; return the caller's state gas for `absorb`."""
        outer = self.current
        if outer.spilled:
            self.current = outer._replace(spilled=0)
        return outer

    def absorb(self, outer: StateGas) -> int:
        """End a call that succeeded; return the execution gas that its caller gets, repaid from the reservoir."""
        reservoir, used, spilled = self.current
        spilled += outer.spilled
        repaid = min(reservoir, spilled)
        self.current = StateGas(reservoir - repaid, used, spilled - repaid)
        return repaid
