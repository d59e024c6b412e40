"""Distribution of prepaid gas: tables of ref-fvm's and lotus' tests, and conservation of the total."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.gas import gas_outputs, overestimation


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
