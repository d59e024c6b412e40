"""Initial pledge of a sector, computed like the miner actor. Estimates are Q.128 numbers.

The pledge is the expected reward of 20 days plus a share of three tenths of the circulating supply, at most 1 FIL per
32 GiB. Every division rounds down.

Source: builtin-actors miner `monies.rs`, `expected_reward` and `initial_pledge_for_power` (FIP-0081), math
`extrapolated_cum_sum_of_ratio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypervisor.types import ATTO_PER_FIL, TokenAmount
from localnet.miners.policy import PROVING_PERIOD

_DIGITS: Final = 128
_PROJECTION: Final = 20 * PROVING_PERIOD
_RAMP: Final = 300
"""Share of the pledge target, in thousandths, that depends on the network's power only after the ramp (FIP-0081)."""
_MAX_PLEDGE_PER_BYTE: Final = ATTO_PER_FIL // (32 << 30)
_STANDSTILL: Final = 302231454903657293676544
"""Square of the velocity below which the network's power is treated as constant."""
_LN_2: Final = 235865763225513294137944142764154484399
_LN_NUMERATOR: Final = (
    261417938209272870992496419296200268025,
    7266615505142943436908456158054846846897,
    32458783941900493142649393804518050491988,
    17078670566130897220338060387082146864806,
    -35150353308172866634071793531642638290419,
    -20351202052858059355702509232125230498980,
    -1563932590352680681114104005183375350999,
)
_LN_DENOMINATOR: Final = (
    49928077726659937662124949977867279384,
    2508163877009111928787629628566491583994,
    21757751789594546643737445330202599887121,
    53400635271583923415775576342898617051826,
    41248834748603606604000911015235164348839,
    9015227820322455780436733526367238305537,
    340282366920938463463374607431768211456,
)
"""Coefficients of ln(x) for x of 1 to 2, as a quotient of polynomials, from the highest power down."""

Estimate = tuple[int, int]
"""Position and velocity."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Network values from the reward and power actors.

    `ramp`: epochs since the ramp began, and how many it has; None before FIP-0081, whose power actor has no ramp.
    """

    reward: Estimate
    power: Estimate
    baseline: int
    supply: int
    ramp: tuple[int, int] | None


def sector_power(size: int, duration: int, verified: int) -> int:
    """Return the quality-adjusted power of a sector of `size` bytes: verified bytes count tenfold."""
    spacetime = size * duration
    weighted = (spacetime - verified * duration) * 10 + verified * duration * 100
    quality = ((weighted << 20) // spacetime) // 10
    return size * quality >> 20


def pre_commit_deposit(network: Conditions, power: int) -> TokenAmount:
    """Return the deposit in attoFIL for the commitment of a sector with this quality-adjusted power."""
    return TokenAmount(max(1, _expected_reward(network.reward, network.power, power)))


def initial_pledge(network: Conditions, power: int) -> TokenAmount:
    """Return the pledge in attoFIL for new quality-adjusted power."""
    storage = pre_commit_deposit(network, power)
    smoothed = network.power[0] >> _DIGITS
    skew = _skew(network)
    simple, baseline = max(smoothed, power), max(smoothed, network.baseline, power)
    target = network.supply * 3 * power
    consensus = (1000 - skew) * target // (baseline * 10_000) + skew * target // (simple * 10_000)
    return TokenAmount(min(storage + consensus, _MAX_PLEDGE_PER_BYTE * power))


def _skew(network: Conditions) -> int:
    if network.ramp is None or network.ramp[0] < 0:
        return 0
    age, epochs = network.ramp
    return _RAMP if epochs == 0 or age >= epochs else age * _RAMP // epochs


def _expected_reward(reward: Estimate, network: Estimate, power: int) -> int:
    if network[0] >> _DIGITS == 0:
        return reward[0] >> _DIGITS
    return max(0, power * _sum_of_ratio(reward, network) >> _DIGITS)


def _sum_of_ratio(above: Estimate, below: Estimate) -> int:
    """Return the sum over the epochs of the projection of one estimate divided by another."""
    time = _PROJECTION << _DIGITS
    squared = _product(below[1], below[1])
    if squared <= _STANDSTILL:
        middle = _product(above[1], time >> 1) + above[0]
        return middle * time // below[0]
    first, last = _logarithm(below[0]), _logarithm(_product(below[1], time) + below[0])
    of_position = (last - first) * above[0] * below[1] >> _DIGITS
    of_velocity = ((first - last) * below[0] + below[1] * time) * above[1] >> _DIGITS
    return (of_velocity + of_position) // squared


def _logarithm(x: int) -> int:
    power = x.bit_length() - 1 - _DIGITS
    normal = x >> power if power > 0 else x << -power
    return (_at(_LN_NUMERATOR, normal) << _DIGITS) // _at(_LN_DENOMINATOR, normal) + power * _LN_2


def _at(coefficients: Sequence[int], index: int) -> int:
    total = 0
    for coefficient in coefficients:
        total = _product(total, index) + coefficient
    return total


def _product(a: int, b: int) -> int:
    return a * b >> _DIGITS
