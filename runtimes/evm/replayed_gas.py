"""The gas of an engine that replays a frame with another engine's answers (`runtimes.evm.both`).

It is compiled, as its base class is; `both` is not.
"""

from bridge.gas import SLICE, GasBudget
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker


class ReplayedGas(GasBudget):
    """A budget set to the recorded remaining gas. After an interrupt of the real one it ends at the next slice."""

    __slots__ = ("_replayed",)

    def __init__(self, real: GasBudget) -> None:
        self._replayed = real
        super().__init__(GasTracker(0), 1, SLICE)

    def become(self, left: int) -> None:
        """Set the remaining EVM gas."""
        self._tracker = GasTracker(left)
        self.refill()

    def overdraw(self, amount: int) -> None:
        """Grant more gas unless the real budget was stopped. Raises OutOfGas."""
        check_stopped(self._replayed)
        super().overdraw(amount)


def check_stopped(gas: GasBudget) -> None:
    """Raise OutOfGas after an interrupt: stopped engines are not compared."""
    if gas.stopped:
        raise OutOfGas("interrupted")
