"""EVM gas as a budget derived from the machine's gas.

The machine's tracker is the one authority; an engine counts down a plain number of EVM gas, which stands for `rate`
milligas each. Before the machine is asked for anything, what the engine used is charged (`settle`) and the rest put
back; when the engine goes on, the number is drawn anew from what the tracker has left (`refill`). Charges are whole
multiples of the rate and nothing is ever rounded up, so any number of settlements charges exactly rate * EVM gas: long
loops do not drift. The remainder of a refill, less than one EVM gas, stays with the tracker. Default rate: FIP-0057's
average of 444 gas.

A budget may be drawn in slices: an engine that counts down a large one for minutes would not see that the tracker was
emptied meanwhile, which is how an interrupt stops it. What is charged does not depend on the slices.
"""

from typing import Final

from hypervisor.gas import MILLIGAS_PER_GAS, GasTracker
from hypervisor.types import Gas, Milligas

DEFAULT_RATE: Final = Milligas(444 * MILLIGAS_PER_GAS)
CHARGE_NAME: Final = "OnEvmGas"
SLICE: Final = 20_000
"""EVM gas that the plain engine uses in a fraction of a second."""


class GasBudget:
    """EVM gas left to an engine. The engine lowers `remaining`, which was `granted`; all others call the methods."""

    __slots__ = ("_rate", "_slice", "_tracker", "granted", "remaining")

    def __init__(self, tracker: GasTracker, rate: int = DEFAULT_RATE, slice_: int | None = None) -> None:
        """`rate` in milligas for one EVM gas; `slice_` is the most EVM gas granted at once (default: no such limit)."""
        if rate <= 0:
            raise ValueError(f"rate of {rate} milligas for one EVM gas: expected a positive number")
        self._tracker = tracker
        self._rate = rate
        self._slice = slice_
        self.granted = 0
        self.remaining = 0
        self.refill()

    def widen(self, slice_: int) -> None:
        """From the next slice on let slices have so much EVM gas: for an engine that is quicker than the plain one."""
        if self._slice is not None:
            self._slice = max(self._slice, slice_)

    @property
    def left(self) -> int:
        """EVM gas that the engine may still use, in this slice and in those to come."""
        return self.remaining + self._tracker.available // self._rate - self.granted

    @property
    def stopped(self) -> bool:
        """Whether an interrupt has taken the machine's gas away."""
        return self._tracker.stopped

    def settle(self) -> None:
        """Charge the tracker for what was used since the last settlement or refill."""
        used = self.granted - self.remaining
        if used:
            self.granted = self.remaining
            self._tracker.charge(CHARGE_NAME, used * self._rate)

    def put_back(self) -> None:
        """Settle, and leave nothing drawn: what the machine charges now is not promised to the engine."""
        if self.granted != self.remaining:
            self.settle()
        self.granted = self.remaining = 0

    def refill(self, needed: int = 0) -> None:
        """Draw the budget anew from what the tracker has left, a slice or what is needed at most; after `settle`."""
        tracker = self._tracker
        affordable = (tracker.limit - tracker.used) // self._rate
        if self._slice is not None and affordable > self._slice:
            affordable = min(affordable, max(self._slice, needed))
        self.remaining = self.granted = affordable

    def overdraw(self, amount: int) -> None:
        """The engine needs `amount`, more than remains: grants it where the tracker has more than the last slice.

        Raises OutOfGas, with everything used up, where it has not.
        """
        self.settle()
        self.refill(amount)
        if amount > self.remaining:
            self.remaining -= amount
            self.settle()

    def available_gas(self) -> Gas:
        """What is left in the machine's own gas, rounded down: the GAS opcode's answer."""
        self.settle()
        return Gas(self._tracker.available // MILLIGAS_PER_GAS)
