"""The gas tracker: the one authority on what a message has used.

Everything is charged in milligas under a name. Rules (ref-fvm fvm/src/gas): unsigned 64-bit, saturating; reaching the
limit exactly is fine; a charge beyond it sets `used` to the limit and unwinds. A call with a limit of its own is a
frame.
"""

from hypervisor.errors import OutOfGas
from hypervisor.tracing import GasCharged, Tracer
from hypervisor.types import Gas, Milligas

MILLIGAS_PER_GAS = 1000
MAX_MILLIGAS = (1 << 64) - 1


def to_milligas(gas: int) -> Milligas:
    """Gas to milligas, saturating at 64 bits."""
    return Milligas(min(gas * MILLIGAS_PER_GAS, MAX_MILLIGAS))


class GasTracker:
    """Counts milligas against a limit, in nested frames."""

    __slots__ = ("_frames", "limit", "stopped", "tracer", "used")

    def __init__(self, limit: int, used: int = 0, tracer: Tracer | None = None) -> None:
        self.limit = limit
        self.used = used
        self.tracer = tracer
        self.stopped = False
        """Whether an interrupt has taken the gas away."""
        self._frames: list[tuple[int, int]] = []

    @property
    def available(self) -> int:
        """Milligas left in the frame in force."""
        return self.limit - self.used

    def charge(self, name: str, milligas: int) -> None:
        """Use up `milligas`; raises OutOfGas if the frame's limit would be passed."""
        if self.tracer is not None:
            self.tracer.event(GasCharged(name, milligas))
        used = self.used + milligas
        if used > self.limit:
            self.used = self.limit
            raise OutOfGas(f"{name} needs {milligas} milligas")
        self.used = used

    def push(self, limit: int) -> None:
        """Open a frame with at most `limit` milligas, and never more than is left."""
        self._frames.append((self.limit, self.used))
        self.limit = min(self.available, limit)
        self.used = 0

    def pop(self) -> None:
        """Close the frame; what it used counts in the one around it."""
        limit, used = self._frames.pop()
        self.limit = limit
        self.used += used

    def exhaust(self) -> None:
        """Leave nothing in any frame, so that execution ends at its next charge (used to stop on an interrupt)."""
        self.stopped = True
        self._frames = [(used, used) for _, used in self._frames]
        self.limit = self.used

    def gas_used(self) -> Gas:
        """What a receipt says: whole gas, rounded up."""
        return Gas(-(-self.used // MILLIGAS_PER_GAS))
