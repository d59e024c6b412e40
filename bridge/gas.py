"""EVM gas as a budget derived from the machine's gas.

The machine's tracker is authoritative. An engine counts down a plain number of EVM gas, each worth `rate` milligas.
Before any kernel operation, the engine's use is charged (`settle`) and the rest returned; afterwards the budget is
computed again from what the tracker has left (`refill`). Charges are whole multiples of the rate and never rounded, so
any number of settlements charges exactly rate * EVM gas. The remainder of a refill, less than one EVM gas, stays with
the tracker. Default rate: FIP-0057's average of 444 gas.

A budget may be granted in slices: an engine that counts down a large budget for minutes would not notice that an
interrupt has exhausted the tracker meanwhile. Charges do not depend on the slices.
"""

from collections.abc import Callable
from typing import Final

from hypervisor.gas import MILLIGAS_PER_GAS, GasTracker
from hypervisor.types import Gas, Milligas

DEFAULT_RATE: Final = Milligas(444 * MILLIGAS_PER_GAS)
CHARGE_NAME: Final = "OnEvmGas"
SLICE: Final = 20_000
"""EVM gas that the plain engine uses in a fraction of a second."""


class GasBudget:
    """EVM gas available to an engine.

    The engine decrements `remaining`, initially `granted`; others call the methods.
    """

    __slots__ = ("_check", "_rate", "_slice", "_tracker", "granted", "remaining")

    def __init__(
        self,
        tracker: GasTracker,
        rate: int = DEFAULT_RATE,
        slice_: int | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Create a budget; `rate` is milligas per EVM gas, `slice_` the maximum EVM gas granted at once, if any.

        `check` is called before each further slice and may raise; slices stay small then.
        """
        if rate <= 0:
            raise ValueError(f"the rate of {rate} milligas per EVM gas must be positive")
        self._tracker = tracker
        self._rate = rate
        self._slice = slice_
        self._check = check
        self.granted = self.remaining = 0  # an engine draws its first budget when it begins

    def widen(self, slice_: int) -> None:
        """Increase the size of later slices, for an engine that is faster than the plain one."""
        if self._slice is not None and self._check is None:
            self._slice = max(self._slice, slice_)

    def in_units(self, rate: int) -> "GasBudget":
        """Return a budget of the same gas in units of `rate` milligas; return one's gas before the other is used."""
        return GasBudget(self._tracker, rate, self._slice, self._check)

    @property
    def left(self) -> int:
        """EVM gas that the engine may still use, in this slice and later ones."""
        return self.remaining + self._tracker.available // self._rate - self.granted

    @property
    def stopped(self) -> bool:
        """True if an interrupt has exhausted the machine's gas."""
        return self._tracker.stopped

    def settle(self) -> None:
        """Charge the tracker for the use since the last settlement or refill."""
        used = self.granted - self.remaining
        if used:
            self.granted = self.remaining
            self._tracker.charge(CHARGE_NAME, used * self._rate)

    def put_back(self) -> None:
        """Settle and return the rest, so that the machine can charge without affecting the engine's grant."""
        if self.granted != self.remaining:
            self.settle()
        self.granted = self.remaining = 0

    def refill(self, needed: int = 0) -> None:
        """Grant a new budget from the tracker's remaining gas, at most a slice or `needed`; call after `settle`."""
        tracker = self._tracker
        affordable = (tracker.limit - tracker.used) // self._rate
        if self._slice is not None and affordable > self._slice:
            affordable = min(affordable, max(self._slice, needed))
        self.remaining = self.granted = affordable

    def overdraw(self, amount: int) -> None:
        """Grant `amount`, which exceeds the remaining budget, if the tracker has enough gas.

        Otherwise uses all gas and raises OutOfGas.
        """
        self.settle()
        if self._check is not None:
            self._check()
        self.refill(amount)
        if amount > self.remaining:
            self.remaining -= amount
            self.settle()

    def available_gas(self) -> Gas:
        """Return the remaining gas in the machine's unit, rounded down: the result of the GAS opcode."""
        self.settle()
        return Gas(self._tracker.available // MILLIGAS_PER_GAS)
