"""Distribution of the amount that a message prepaid for gas.

Amounts are in attoFIL. Source: ref-fvm fvm/src/gas/outputs.rs.
"""

from dataclasses import dataclass
from typing import Final

from hypervisor.types import Gas, TokenAmount

_OVERUSE_NUMERATOR = 11
_OVERUSE_DENOMINATOR = 10


@dataclass(init=False, slots=True, unsafe_hash=True)
class GasOutputs:
    """The distribution: base fee burn, over-estimation burn, miner penalty and tip, refund to the sender."""

    base_fee_burn: Final[TokenAmount]
    over_estimation_burn: Final[TokenAmount]
    miner_penalty: Final[TokenAmount]
    miner_tip: Final[TokenAmount]
    refund: Final[TokenAmount]
    gas_refund: Final[Gas]
    gas_burned: Final[Gas]

    def __init__(
        self,
        base_fee_burn: TokenAmount = TokenAmount(0),
        over_estimation_burn: TokenAmount = TokenAmount(0),
        miner_penalty: TokenAmount = TokenAmount(0),
        miner_tip: TokenAmount = TokenAmount(0),
        refund: TokenAmount = TokenAmount(0),
        gas_refund: Gas = Gas(0),
        gas_burned: Gas = Gas(0),
    ) -> None:
        self.base_fee_burn = base_fee_burn
        self.over_estimation_burn = over_estimation_burn
        self.miner_penalty = miner_penalty
        self.miner_tip = miner_tip
        self.refund = refund
        self.gas_refund = gas_refund
        self.gas_burned = gas_burned


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
    return GasOutputs(
        base_fee_burn=TokenAmount(burn),
        over_estimation_burn=TokenAmount(over_burn),
        miner_penalty=TokenAmount(penalty),
        miner_tip=TokenAmount(tip),
        refund=TokenAmount(fee_cap * gas_limit - burn - tip - over_burn),
        gas_refund=refunded,
        gas_burned=burned,
    )
