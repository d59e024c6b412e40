"""The base fee: examples of FIP-0115, and the previous rule."""

import pytest

from hypervisor.versions.network_versions import NV27, NV28, NV29, BaseFee
from localnet.rules.base_fee import GasBid, by_premium, next_base_fee, percentile_premium

LIMIT = 10_000_000_000


@pytest.mark.parametrize(
    ("premiums", "expected"),
    [
        ([(123, 5_999_999_999), (100, 2_000_000_000)], 0),
        ([(123, 5_999_999_999), (100, 2_000_000_001)], 100),
        ([(123, 7_999_999_999), (100, 2_000_000_001)], 100),
        ([(123, 8_000_000_000), (100, 2_000_000_000)], 123),
        ([], 0),
    ],
)
def test_percentile_premium_is_met_by_80_percent_of_block_gas(premiums: list[tuple[int, int]], expected: int) -> None:
    assert percentile_premium(premiums) == expected
    assert percentile_premium(premiums[::-1]) == expected


@pytest.mark.parametrize(
    ("fee", "premium", "expected"),
    [
        (100, 13, 100), (100, 14, 101), (100, 26, 113), (801, 0, 700), (801, 100, 800), (801, 201, 901),
        (808, 0, 707), (808, 203, 909),
    ],
)  # fmt: skip
def test_the_next_base_fee_by_premium(fee: int, premium: int, expected: int) -> None:
    assert by_premium(fee, premium) == expected


def test_a_premium_counts_as_far_as_the_fee_cap_allows() -> None:
    bids = [GasBid(8_000_000_000, premium=1_000, fee_cap=110)]
    assert next_base_fee(BaseFee.PREMIUM, 100, bids) == by_premium(100, 10)
    below = [GasBid(8_000_000_000, premium=1_000, fee_cap=50)]
    assert next_base_fee(BaseFee.PREMIUM, 100, below) == by_premium(100, 0)


@pytest.mark.parametrize(
    # Cases of lotus chain/store/basefee_test.go: base fee, gas limits used, blocks, next base fee.
    ("fee", "used", "blocks", "expected"),
    [
        (100_000_000, 0, 1, 87_500_000),
        (100_000_000, 0, 5, 87_500_000),
        (100_000_000, LIMIT // 2, 1, 100_000_000),
        (100_000_000, LIMIT, 2, 100_000_000),
        (100_000_000, LIMIT * 2, 2, 112_500_000),
        (100_000_000, LIMIT * 15 // 10, 2, 106_250_000),
    ],
)
def test_base_fee_before_nv28_follows_block_fullness(fee: int, used: int, blocks: int, expected: int) -> None:
    assert next_base_fee(BaseFee.FULLNESS, fee, [GasBid(used, 0, 0)], blocks) == expected


def test_the_fee_never_falls_below_the_minimum() -> None:
    assert next_base_fee(BaseFee.FULLNESS, 100, []) == 100
    assert next_base_fee(BaseFee.PREMIUM, 100, []) == 100


def test_the_rule_changes_with_network_version_28() -> None:
    """FIP-0115 is part of network version 28."""
    assert [row.base_fee for row in (NV27, NV28, NV29)] == [BaseFee.FULLNESS, BaseFee.PREMIUM, BaseFee.PREMIUM]
