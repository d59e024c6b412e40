"""EVM gas as a budget derived from the machine's gas.

The machine's tracker is the one authority; an engine counts down a plain number of EVM gas, which stands for `rate`
milligas each. Before the machine is asked for anything, what the engine used is charged (`settle`); afterwards the
number is drawn anew from what the tracker has left (`refill`). Charges are whole multiples of the rate and nothing is
ever rounded up, so any number of settlements charges exactly rate * EVM gas: long loops do not drift. The remainder of
a refill, less than one EVM gas, stays with the tracker. Default rate: FIP-0057's average of 444 gas.
"""

from typing import Final

from hypervisor.gas import MILLIGAS_PER_GAS, GasTracker
from hypervisor.types import Gas, Milligas

DEFAULT_RATE: Final = Milligas(444 * MILLIGAS_PER_GAS)
CHARGE_NAME: Final = "OnEvmGas"


class GasBudget:
    """EVM gas left to an engine. The engine lowers `remaining`; everybody else calls the methods."""

    __slots__ = ("_granted", "_rate", "_tracker", "remaining")

    def __init__(self, tracker: GasTracker, rate: int = DEFAULT_RATE) -> None:
        if rate <= 0:
            raise ValueError(f"rate of {rate} milligas for one EVM gas: expected a positive number")
        self._tracker = tracker
        self._rate = rate
        self._granted = 0
        self.remaining = 0
        self.refill()

    def settle(self) -> None:
        """Charge the tracker for what was used since the last settlement or refill."""
        used = self._granted - self.remaining
        if used:
            self._granted = self.remaining
            self._tracker.charge(CHARGE_NAME, used * self._rate)

    def refill(self) -> None:
        """Draw the budget anew from what the tracker has left; only after `settle`."""
        self.remaining = self._granted = self._tracker.available // self._rate

    def overdraw(self, amount: int) -> None:
        """The engine needs `amount` more than remains: raises OutOfGas, with everything used up."""
        self.remaining -= amount
        self.settle()

    def available_gas(self) -> Gas:
        """What is left in the machine's own gas, rounded down: the GAS opcode's answer."""
        self.settle()
        return Gas(self._tracker.available // MILLIGAS_PER_GAS)
