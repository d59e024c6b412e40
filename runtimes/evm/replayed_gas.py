"""The gas of an engine that runs a frame again on another one's answers (`runtimes.evm.both`)."""

from bridge.gas import SLICE, GasBudget
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker


class ReplayedGas(GasBudget):
    """A budget that is set to what another one had left. It ends, slice by slice, where an interrupt stops that one."""

    __slots__ = ("_replayed",)

    def __init__(self, real: GasBudget) -> None:
        self._replayed = real
        super().__init__(GasTracker(0), 1, SLICE)

    def become(self, left: int) -> None:
        """Have so much EVM gas left."""
        self._tracker = GasTracker(left)
        self.refill()

    def overdraw(self, amount: int) -> None:
        """Grant more, as long as the real one was not stopped. Raises OutOfGas."""
        check_stopped(self._replayed)
        super().overdraw(amount)


def check_stopped(gas: GasBudget) -> None:
    """Raise OutOfGas after an interrupt: engines that were stopped are not compared."""
    if gas.stopped:
        raise OutOfGas("interrupted")
