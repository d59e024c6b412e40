"""The gas of an engine that replays a frame with the host results recorded from another engine (`runtimes.evm.both`).

In a separate module, because this class must be compiled like its base class, and `both` is interpreted.
"""

from bridge.gas import SLICE, GasBudget
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker


class ReplayedGas(GasBudget):
    """A budget set to the recorded remaining gas; it raises OutOfGas once the actual budget was interrupted."""

    __slots__ = ("_actual",)

    def __init__(self, actual: GasBudget) -> None:
        self._actual = actual
        super().__init__(GasTracker(0), 1, SLICE)

    def set_remaining(self, amount: int) -> None:
        """Set the remaining EVM gas."""
        self._tracker = GasTracker(amount)
        self.refill()

    def overdraw(self, amount: int) -> None:
        """Grant more gas, unless the actual budget was interrupted. Raises OutOfGas."""
        check_stopped(self._actual)
        super().overdraw(amount)


def check_stopped(gas: GasBudget) -> None:
    """Raise OutOfGas after an interrupt, because the results of interrupted engines are not compared."""
    if gas.stopped:
        raise OutOfGas("interrupted")
