"""Price lists: values of ref-fvm's three lists, written out by hand in gas, and the list of each network version."""

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.prices import HYGGE, TEEP, WATERMELON, PriceList, StepPrice
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version

ALL = [HYGGE, WATERMELON, TEEP]
LATER = [WATERMELON, TEEP]
GAS = 1000


@pytest.mark.parametrize("prices", ALL, ids=lambda prices: prices.name)
@pytest.mark.parametrize("length", [0, 100, 123])
def test_inclusion_costs_560663_and_1300_a_byte(prices: PriceList, length: int) -> None:
    assert prices.message_inclusion(length) == (560_663 + 1_300 * length) * GAS


@pytest.mark.parametrize("prices", ALL, ids=lambda prices: prices.name)
def test_the_flat_prices_are_the_networks(prices: PriceList) -> None:
    flat = {
        "syscall": 14_000,
        "transfer": 6_000,
        "actor_lookup": 500_000,
        "actor_update": 475_000,
        "actor_create": 650_000,
        "address_lookup": 1_050_000,
        "address_assignment": 1_000_000,
        "storage_per_byte": 1_300,
        "recover_secp256k1": 1_637_292,
        "unsealed_sector_cid": 98_647,
        "verify_consensus_fault": 516_422,
        "verify_replica_update": 36_316_136,
    }
    assert {name: getattr(prices, name) for name in flat} == {name: gas * GAS for name, gas in flat.items()}
    assert prices.preloaded_actors == {0, 1, 2, 3, 4, 5, 6, 7, 10, 99}


@pytest.mark.parametrize("prices", ALL, ids=lambda prices: prices.name)
def test_cryptography_is_priced_by_the_byte(prices: PriceList) -> None:
    assert prices.verify_secp256k1.of(100) == (1_637_292 + 1_000) * GAS
    assert prices.verify_bls.of(100) == (16_598_605 + 2_600) * GAS
    per_byte = {0x12: 7, 0xB220: 10, 0xB240: 10, 0x1B: 33, 0x1053: 35}
    assert {code: price.of(1) for code, price in prices.hashes.items()} == {c: g * GAS for c, g in per_byte.items()}
    assert prices.verify_post.of(10) == (117_680_921 + 437_800) * GAS


def test_calls_pay_for_links_since_version_21() -> None:
    assert HYGGE.invoke.of(5) == 75_000 * GAS
    assert HYGGE.return_per_link == 0
    for prices in LATER:
        assert prices.invoke.of(5) == (75_000 + 1_500) * GAS
        assert prices.return_per_link == 300 * GAS


def test_opening_and_creating_ten_bytes_cost_a_hundred_gas() -> None:
    # from ref-fvm's test of the two formulas
    for prices in ALL:
        assert prices.block_open(10, 0) == prices.block_create(10, 0) == 100 * GAS


def test_links_cost_more_than_the_bytes_where_there_are_many() -> None:
    for prices in LATER:
        # 100 bytes and 5 links: max(1,000, 240 + 1,500)
        assert prices.block_open(100, 5) == prices.block_create(100, 5) == 1_740 * GAS
        # 1,000 bytes and 5 links: max(10,000, 2,400 + 1,500)
        assert prices.block_open(1_000, 5) == 10_000 * GAS
    assert HYGGE.block_open(100, 5) == 1_000 * GAS


def test_linking_costs_3352_and_two_fifths_a_byte() -> None:
    assert HYGGE.block_link(100) == 506_000 * GAS + 335_240 * GAS
    for prices in LATER:
        assert prices.block_link(100) == 506_300 * GAS + 335_240 * GAS


def test_events_pay_for_their_estimated_size_entries_and_keys() -> None:
    # two entries, 10 bytes of keys, 70 of values: 12 + 18 + 80 = 110 estimated
    for prices in LATER:
        whole = 110 * 17_200 + (2_000 + 2 * 1_400) * GAS + (500 + 160) * GAS
        assert prices.events(2, 10, 70) == (whole, 110 * 12_400)
        assert prices.events(0, 0, 0) == (12 * 17_200 + 2_500 * GAS, 12 * 12_400)


def test_events_of_version_18_pay_for_their_bytes() -> None:
    assert HYGGE.event_validate_v3 is not None
    assert HYGGE.event_accept_v3 is not None
    # 2.4 * 100 + 1,750 + 25 * 100, then 15.2 * (100 + 12)
    assert HYGGE.event_validate_v3.of(100) == (240 + 1_750 + 2_500) * GAS
    assert HYGGE.event_accept_v3.of(100) == 112 * 15_200


def test_looking_back_costs_75_an_epoch() -> None:
    for prices in LATER:
        assert prices.lookback.of(1) == 146_275 * GAS
        assert prices.lookback.of(2_880) == (146_200 + 216_000) * GAS


def test_version_18_prices_randomness_by_entropy_tipsets_by_age() -> None:
    assert HYGGE.randomness_entropy is not None
    assert HYGGE.randomness_entropy.of(4) == (21_000 + 10 * (4 + 48)) * GAS
    assert HYGGE.tipset_cid_recent == 50_000 * GAS
    assert HYGGE.tipset_cid_older == 215_000 * GAS


@pytest.mark.parametrize(
    ("sectors", "step"),
    [(1, 0), (3, 0), (4, 103_994_170), (7, 112_356_810), (13, 122_912_610), (26, 137_559_930), (52, 162_039_100),
     (65, 162_039_100), (103, 210_960_780), (205, 318_351_180), (410, 528_274_980), (819, 528_274_980)],
)  # fmt: skip
@pytest.mark.parametrize("prices", ALL, ids=lambda prices: prices.name)
def test_aggregates_of_32_gib_sectors_cost_as_in_ref_fvms_tests(prices: PriceList, sectors: int, step: int) -> None:
    assert prices.verify_aggregate[8].of(sectors) == (449_900 * sectors + step) * GAS


def test_aggregates_of_64_gib_sectors_have_their_own_steps() -> None:
    for prices in ALL:
        assert prices.verify_aggregate[9].of(410) == (359_272 * 410 + 509_880_640) * GAS


@pytest.mark.parametrize(
    ("sectors", "step_32", "step_64"),
    [(1, 112_356_810, 110_803_030), (2, 122_912_610, 120_803_700), (4, 137_559_930, 134_642_130),
     (8, 162_039_100, 157_357_890), (16, 210_960_780, 203_017_690), (32, 318_351_180, 304_253_590),
     (33, 528_274_980, 509_880_640), (65, 528_274_980, 509_880_640)],
)  # fmt: skip
def test_non_interactive_aggregates_cost_as_in_ref_fvms_tests(sectors: int, step_32: int, step_64: int) -> None:
    assert TEEP.verify_aggregate[18].of(sectors) == (44_990 * 126 * sectors + step_32) * GAS
    assert TEEP.verify_aggregate[19].of(sectors) == (35_928 * 126 * sectors + step_64) * GAS


def test_non_interactive_sector_gas_matches_fip_0092() -> None:
    assert TEEP.verify_aggregate[18].of(1) == 118_025_550 * GAS
    assert TEEP.verify_aggregate[19].of(1) == 115_329_958 * GAS


def test_non_interactive_proofs_have_no_row_before_version_25() -> None:
    assert set(WATERMELON.verify_aggregate) == set(HYGGE.verify_aggregate) == {8, 9}


def test_verifying_a_seal_became_dear_with_version_25() -> None:
    assert HYGGE.verify_seal == WATERMELON.verify_seal == 2_000 * GAS
    assert TEEP.verify_seal == 42_000_000 * GAS


def test_a_step_price_takes_the_largest_start_that_is_reached() -> None:
    price = StepPrice(0, ((10, 1), (20, 2)))
    assert [price.of(n) for n in (0, 5, 10, 11, 19, 20, 100)] == [0, 0, 1, 1, 1, 2, 2]
    assert StepPrice(0, ()).of(10) == 0
    assert StepPrice(0, ((0, 1),)).of(0) == 1


@pytest.mark.parametrize(
    ("numbers", "prices", "abi"),
    [(range(18, 21), HYGGE, "v3"), (range(21, 25), WATERMELON, "v4"), (range(25, 30), TEEP, "v4")],
)
def test_each_network_version_has_its_prices_and_rules(numbers: range, prices: PriceList, abi: str) -> None:
    for number in numbers:
        row = network_version(number)
        assert (row.number, row.prices, row.rules.abi) == (number, prices, abi)


def test_each_network_version_runs_its_actors() -> None:
    actors = {18: 10, 19: 11, 20: 11, 21: 12, 22: 13, 23: 14, 24: 15, 25: 16, 26: 16, 27: 17, 28: 18, 29: 19}
    assert {number: NETWORK_VERSIONS[number].actors for number in actors} == actors


@pytest.mark.parametrize("number", [0, 17, max(NETWORK_VERSIONS) + 1, -1])
def test_unknown_network_version_error_lists_known_versions(number: int) -> None:
    with pytest.raises(InvalidInput, match=f"nv18 to nv{max(NETWORK_VERSIONS)}"):
        network_version(number)
