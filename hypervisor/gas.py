"""The gas tracker: the single source of a message's gas use.

Charges are in milligas and have a name. Rules (ref-fvm fvm/src/gas): unsigned 64-bit, saturating; reaching the limit
exactly is allowed; a charge beyond it sets `used` to the limit and unwinds. A call with its own limit is a frame.
`gas_outputs` distributes the prepaid amount in attoFIL. Source: ref-fvm fvm/src/gas/outputs.rs.
"""

from dataclasses import dataclass, field
from typing import Final

from hypervisor.errors import OutOfGas
from hypervisor.tracing import GasCharged, Tracer
from hypervisor.types import MILLIGAS_PER_GAS as MILLIGAS_PER_GAS
from hypervisor.types import Gas, Milligas, TokenAmount

MAX_MILLIGAS = (1 << 64) - 1


def to_milligas(gas: int) -> Milligas:
    """Convert gas to milligas, saturating at 64 bits."""
    return Milligas(min(gas * MILLIGAS_PER_GAS, MAX_MILLIGAS))


class ChargeRefused(OutOfGas):
    """Raised when a charge exceeds the limit; formatted on demand. `per_gas` is the number of units per gas."""

    def __init__(self, name: str, needed: int, left: int, per_gas: int) -> None:
        super().__init__(name)
        self.name = name
        """Name of the charge, shown in traces."""
        self._charge = needed, left, per_gas

    def __str__(self) -> str:
        needed, left, per_gas = self._charge
        return f"out of gas: {in_gas(needed, per_gas)} needed, {in_gas(left, per_gas)} left"


@dataclass(slots=True, eq=False)
class GasTracker:
    """Counts milligas against a limit, in nested frames."""

    limit: int
    used: int = 0
    tracer: Tracer | None = None
    per_gas: int = MILLIGAS_PER_GAS
    """Number of units per gas (1 under Ethereum's rules)."""
    stopped: bool = field(default=False, init=False)
    """True if an interrupt has exhausted the gas."""
    _frames: list[tuple[int, int]] = field(default_factory=list, init=False)

    @property
    def available(self) -> int:
        """Milligas left in the current frame."""
        return self.limit - self.used

    def charge(self, name: str, milligas: int, other: int = 0) -> None:
        """Use `milligas`. Raises OutOfGas if this exceeds the frame's limit. `other` is passed to `GasCharged`."""
        if self.tracer is not None:
            self.tracer.event(GasCharged(name, milligas, other))
        used = self.used + milligas
        if used > self.limit:
            left, self.used = self.limit - self.used, self.limit
            raise ChargeRefused(name, milligas, left, self.per_gas)
        self.used = used

    def try_charge(self, milligas: int) -> bool:
        """Charge the sum of several charges.

        Returns False, charging nothing, if a tracer is active or the frame's limit is exceeded.
        """
        used = self.used + milligas
        if self.tracer is not None or used > self.limit:
            return False
        self.used = used
        return True

    def push(self, limit: int) -> None:
        """Open a frame with at most `limit` milligas, capped at the available gas."""
        self._frames.append((self.limit, self.used))
        self.limit = min(self.available, limit)
        self.used = 0

    def pop(self) -> None:
        """Close the frame and add its use to the enclosing frame."""
        limit, used = self._frames.pop()
        self.limit = limit
        self.used += used

    def exhaust(self) -> None:
        """Set the available gas of all frames to zero, so that execution ends at its next charge.

        Used to stop execution on an interrupt.
        """
        self.stopped = True
        self._frames = [(used, used) for _, used in self._frames]
        self.limit = self.used

    def gas_used(self) -> Gas:
        """Return the gas used as stated in a receipt: whole gas, rounded up."""
        return Gas(-(-self.used // MILLIGAS_PER_GAS))


def in_gas(amount: int, per_gas: int = MILLIGAS_PER_GAS) -> str:
    """Format milligas as gas, or whole gas if `per_gas` is 1."""
    whole, rest = divmod(abs(amount), per_gas)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction}"


_OVERUSE_NUMERATOR = 11
_OVERUSE_DENOMINATOR = 10


@dataclass(slots=True, unsafe_hash=True)
class GasOutputs:
    """The distribution: base fee burn, over-estimation burn, miner penalty and tip, refund to the sender."""

    base_fee_burn: Final[TokenAmount] = TokenAmount(0)
    over_estimation_burn: Final[TokenAmount] = TokenAmount(0)
    miner_penalty: Final[TokenAmount] = TokenAmount(0)
    miner_tip: Final[TokenAmount] = TokenAmount(0)
    refund: Final[TokenAmount] = TokenAmount(0)
    gas_refund: Final[Gas] = Gas(0)
    gas_burned: Final[Gas] = Gas(0)


def overestimation(gas_used: int, gas_limit: int) -> tuple[Gas, Gas]:
    """Return the unused gas as (gas refunded, gas burned)."""
    if gas_used == 0:
        return Gas(0), Gas(gas_limit)
    over = min(max(0, gas_limit - _OVERUSE_NUMERATOR * gas_used // _OVERUSE_DENOMINATOR), gas_used)
    rest = max(0, gas_limit - gas_used)
    burned = rest * over // gas_used
    return Gas(rest - burned), Gas(burned)


def gas_outputs(gas_used: int, gas_limit: int, base_fee: int, fee_cap: int, premium: int) -> GasOutputs:
    """Distribute `fee_cap * gas_limit`. The tip is computed from the gas limit, not from the gas used."""
    pays = min(base_fee, fee_cap)
    penalty = (base_fee - fee_cap) * gas_used if base_fee > fee_cap else 0
    tip_per_gas = min(premium, fee_cap - pays)
    refunded, burned = overestimation(gas_used, gas_limit)
    burn, tip, over_burn = pays * gas_used, tip_per_gas * gas_limit, pays * burned
    penalty += (base_fee - pays) * burned
    refund = fee_cap * gas_limit - burn - tip - over_burn
    return GasOutputs(
        TokenAmount(burn), TokenAmount(over_burn), TokenAmount(penalty), TokenAmount(tip), TokenAmount(refund),
        refunded, burned,
    )  # fmt: skip
