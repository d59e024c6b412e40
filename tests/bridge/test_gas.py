"""EVM gas as a derived budget: no drift, no double charges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gas import DEFAULT_RATE, GasBudget
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker

rates = st.integers(1, 10**6)


def _budget(tracker: GasTracker, rate: int = DEFAULT_RATE, slice_: int | None = None) -> GasBudget:
    """Return a budget that an engine has begun to use."""
    budget = GasBudget(tracker, rate, slice_)
    budget.refill()
    return budget


@given(st.integers(0, 10**12), rates)
def test_gas_budget_is_largest_amount_tracker_can_pay(limit: int, rate: int) -> None:
    budget = _budget(GasTracker(limit), rate)
    assert budget.remaining * rate <= limit < (budget.remaining + 1) * rate


@given(rates, st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.integers(0, 5000)), max_size=60))
def test_any_number_of_settlements_charges_exactly_the_rate(rate: int, steps: list[tuple[int, bool, int]]) -> None:
    tracker = GasTracker(10**12)
    budget = _budget(tracker, rate)
    used = charged_by_others = 0
    for amount, machine_charges, charge in steps:
        budget.remaining -= amount
        used += amount
        if machine_charges:
            budget.settle()
            tracker.charge("machine", charge)
            charged_by_others += charge
            budget.refill()
    budget.settle()
    assert tracker.used == used * rate + charged_by_others
    assert budget.remaining == tracker.available // rate


@given(st.integers(0, 10**9), rates, st.integers(1, 10**6))
def test_more_than_remains_is_out_of_gas_with_everything_used(limit: int, rate: int, excess: int) -> None:
    tracker = GasTracker(limit)
    budget = _budget(tracker, rate)
    with pytest.raises(OutOfGas):
        budget.overdraw(budget.remaining + excess)
    assert tracker.used == limit


@given(st.integers(0, 10**9), rates, st.integers(1, 100), st.lists(st.integers(0, 300), max_size=60))
def test_slicing_changes_neither_charges_nor_out_of_gas(limit: int, rate: int, slice_: int, amounts: list[int]) -> None:
    def spend(budget: GasBudget, tracker: GasTracker) -> tuple[int, int]:
        """Return the number of instructions paid for and the tracker's usage, for an engine's gas counter."""
        paid = 0
        try:
            for amount in amounts:
                if amount > budget.remaining:
                    budget.overdraw(amount)
                budget.remaining -= amount
                paid += 1
            budget.settle()
        except OutOfGas:
            pass
        return paid, tracker.used

    whole, sliced = GasTracker(limit), GasTracker(limit)
    assert spend(_budget(sliced, rate, slice_), sliced) == spend(_budget(whole, rate), whole)


def test_left_gas_includes_future_slices() -> None:
    budget = _budget(GasTracker(10_999), 10, 100)
    budget.remaining -= 30
    assert (budget.remaining, budget.left) == (70, 1069)
    budget.overdraw(500)
    assert (budget.remaining, budget.left) == (500, 1069)


def test_engine_sees_exhausted_tracker_within_a_slice() -> None:
    tracker = GasTracker(10**18)
    budget = _budget(tracker, slice_=1000)
    budget.remaining -= 400
    tracker.exhaust()
    budget.remaining -= 600
    with pytest.raises(OutOfGas):
        budget.overdraw(1)


def test_gas_opcode_reads_machine_gas_after_usage() -> None:
    tracker = GasTracker(10_000_000_000_000)
    budget = _budget(tracker)
    budget.remaining -= 9
    assert budget.available_gas() == 10_000_000_000 - 9 * DEFAULT_RATE // 1000


def test_long_loop_reading_gas_at_every_step_does_not_drift() -> None:
    tracker = GasTracker(10**15)
    budget = _budget(tracker)
    for _ in range(100_000):
        budget.remaining -= 7
        budget.available_gas()
    assert tracker.used == 700_000 * DEFAULT_RATE


@pytest.mark.parametrize("rate", [0, -1])
def test_zero_gas_rate_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        GasBudget(GasTracker(1), rate)
