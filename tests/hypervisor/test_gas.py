"""Gas: the tracker, and the distribution of prepaid gas.

- The gas tracker: saturating unsigned 64-bit milligas, frames, and state after running out of gas.
- Distribution of prepaid gas: tables of ref-fvm's and lotus' tests, and conservation of the total.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import OutOfGas
from hypervisor.gas import MAX_MILLIGAS, GasTracker, gas_outputs, overestimation, to_milligas
from hypervisor.tracing import GasCharged, Recorder


def test_running_out_uses_up_the_limit() -> None:
    tracker = GasTracker(limit=1_000)
    tracker.charge("a", 400)
    with pytest.raises(OutOfGas, match=r"^out of gas: 0\.601 needed, 0\.6 left$"):
        tracker.charge("b", 601)
    assert (tracker.used, tracker.available) == (1_000, 0)


def test_exhausted_tracker_has_no_gas_in_any_frame() -> None:
    tracker = GasTracker(limit=1_000_000)
    tracker.charge("a", 10)
    tracker.push(500)
    tracker.push(100)
    tracker.exhaust()
    for _ in range(2):
        with pytest.raises(OutOfGas):
            tracker.charge("more", 1)
        tracker.pop()
        assert tracker.available <= 0
    with pytest.raises(OutOfGas):
        tracker.charge("more", 1)


@pytest.mark.parametrize(("milligas", "gas"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)])
def test_a_receipt_counts_begun_gas_as_whole(milligas: int, gas: int) -> None:
    assert GasTracker(limit=10_000, used=milligas).gas_used() == gas


def test_gas_becomes_milligas_up_to_the_largest_64_bit_number() -> None:
    assert to_milligas(7) == 7_000
    assert to_milligas((1 << 64) - 1) == MAX_MILLIGAS == (1 << 64) - 1


def test_gas_tracer_reports_every_charge_including_failing_one() -> None:
    recorder = Recorder()
    tracker = GasTracker(limit=10, tracer=recorder)
    tracker.charge("first", 4)
    with pytest.raises(OutOfGas):
        tracker.charge("second", 7)
    assert recorder.events == [GasCharged("first", 4), GasCharged("second", 7)]


class ReferenceTracker:
    """A literal implementation of the rules with unsigned 64-bit numbers."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self.saved: list[tuple[int, int]] = []

    def charge(self, amount: int) -> bool:
        if min(self.used + amount, MAX_MILLIGAS) > self.limit:
            self.used = self.limit
            return False
        self.used += amount
        return True

    def push(self, limit: int) -> None:
        self.saved.append((self.limit, self.used))
        self.limit, self.used = min(self.limit - self.used, limit), 0

    def pop(self) -> None:
        limit, used = self.saved.pop()
        self.limit, self.used = limit, used + self.used


u64 = st.integers(0, MAX_MILLIGAS)
small = st.integers(0, 3_000)


@settings(deadline=None)
@given(
    st.integers(0, (1 << 63) - 1) | small,
    st.lists(st.tuples(st.sampled_from(["charge", "push", "pop"]), small | u64), max_size=40),
)
def test_any_sequence_of_charges_and_frames_follows_the_rules(limit: int, steps: list[tuple[str, int]]) -> None:
    tracker, reference = GasTracker(limit), ReferenceTracker(limit)
    for step, amount in steps:
        if step == "charge":
            ok = True
            try:
                tracker.charge("x", amount)
            except OutOfGas:
                ok = False
            assert ok == reference.charge(amount)
        elif step == "push":
            tracker.push(amount)
            reference.push(amount)
        elif reference.saved:
            tracker.pop()
            reference.pop()
        assert (tracker.limit, tracker.used) == (reference.limit, reference.used)


@pytest.mark.parametrize(
    ("used", "limit", "refund", "burned"),
    [
        (100, 200, 10, 90),
        (100, 150, 30, 20),
        (1_000, 1_300, 240, 60),
        (500, 700, 140, 60),
        (200, 200, 0, 0),
        (20_000, 21_000, 1_000, 0),
        (0, 2_000, 0, 2_000),
        (500, 651, 121, 30),
        (500, 5_000, 0, 4_500),
        (7_499_000_000, 7_500_000_000, 1_000_000, 0),
        (3_750_000_000, 7_500_000_000, 375_000_000, 3_375_000_000),
        (1, 7_500_000_000, 0, 7_499_999_999),
    ],
)
def test_overestimated_gas_is_burnt_as_on_the_network(used: int, limit: int, refund: int, burned: int) -> None:
    assert overestimation(used, limit) == (refund, burned)


@pytest.mark.parametrize(
    ("used", "limit", "fee_cap", "premium", "burn", "over_burn", "penalty", "tip", "refund"),
    [
        (100, 110, 11, 1, 1_000, 0, 0, 110, 100),
        (100, 130, 11, 1, 1_000, 60, 0, 130, 240),
        (100, 110, 10, 1, 1_000, 0, 0, 0, 100),
        (100, 110, 6, 1, 600, 0, 400, 0, 60),
    ],
)
def test_prepaid_gas_fee_is_split_as_on_the_network(
    used: int, limit: int, fee_cap: int, premium: int, burn: int, over_burn: int, penalty: int, tip: int, refund: int
) -> None:
    outputs = gas_outputs(used, limit, 10, fee_cap, premium)
    assert outputs.base_fee_burn == burn
    assert outputs.over_estimation_burn == over_burn
    assert outputs.miner_penalty == penalty
    assert outputs.miner_tip == tip
    assert outputs.refund == refund


def test_miner_penalty_covers_overestimation_burn_above_fee_cap() -> None:
    # base fee 10, cap 6: (10 - 6) * 100 used, plus (10 - 6) * 20 burnt of the remaining 50
    outputs = gas_outputs(100, 150, 10, 6, 1)
    assert outputs.miner_penalty == 4 * 100 + 4 * 20
    assert outputs.over_estimation_burn == 6 * 20


money = st.integers(0, 10**12)


@settings(deadline=None)
@given(st.integers(0, 10**10), st.integers(1, 10**10), money, money, money)
def test_split_conserves_the_prepaid_gas_fee(used: int, limit: int, base: int, cap: int, premium: int) -> None:
    used = min(used, limit)
    outputs = gas_outputs(used, limit, base, cap, premium)
    parts = (outputs.base_fee_burn, outputs.over_estimation_burn, outputs.miner_tip, outputs.refund)
    assert sum(parts) == cap * limit
    assert min(parts) >= 0
    assert outputs.gas_refund + outputs.gas_burned == limit - used
    assert outputs.miner_tip <= premium * limit
