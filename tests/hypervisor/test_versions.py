"""Network versions, price lists, and overlays of both.

- Network versions are rows: no other module compares version numbers, and a new row defines a new version.
- Overlays: valid files, errors and their messages, and isolation from other price lists.
- Price lists: values of ref-fvm's three lists, written out by hand in gas, and the list of each network version.
"""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import find_release
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.gas import (
    HYGGE,
    TEEP,
    WATERMELON,
    Price,
    PriceList,
    StepPrice,
    price_values,
    show_price,
    with_prices,
)
from hypervisor.installation import parse_version
from hypervisor.versions.network_versions import (
    NETWORK_VERSIONS,
    NV18,
    NV27,
    NV28,
    NV29,
    BaseFee,
    Layouts,
    network_version,
    newest_with_actors,
    versions_between,
)
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.overlay_file import price_overlay, read_overlay
from localnet import Network
from localnet.rpc.filecoin.network import state_get_network_params
from localnet.rpc.node import Node
from tests.localnet.conftest import ARTIFACTS, Clock


def test_name_of_a_version_is_neither_a_number_nor_a_drafts_file() -> None:
    with pytest.raises(InvalidInput, match="'mainnet' is neither a version such as nv29 nor a file of a draft"):
        Network(network="mainnet")


@pytest.mark.parametrize(("text", "number"), [
    ("nv29", 29), ("29", 29), ("nv", None), ("nvnv29", None), ("-1", None), ("٢٩", None), ("9" * 5_000, None),
])  # fmt: skip
def test_version_is_parsed(text: str, number: int | None) -> None:
    assert parse_version(text) == number


@pytest.mark.parametrize("version", [28, "28", "nv28"])
def test_a_version_may_be_text(version: int | str) -> None:
    with Network(network=version, bare=True) as network:
        assert network.version == 28


def test_a_row_more_is_a_network_of_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthetic version with the base fee rule of full blocks and one opcode less; its state layout is unchanged."""
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    made_up = newest.successor(base_fee=BaseFee.FULLNESS, evm=newest.evm - {"CLZ"}, layouts=Layouts.UNCHANGED)
    monkeypatch.setitem(NETWORK_VERSIONS, made_up.number, made_up)
    with Network(network=made_up.number, clock=Clock()) as network:
        assert network.version == made_up.number == newest.number + 1
        assert network.machine.manifest == Bundle.embedded(f"v{newest.actors}").manifest
        counter = network.deploy(ARTIFACTS / "Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        # By hand: nine tenths of a block is four fifths above the target of a half; times an eighth of 100.
        assert network.base_fee == 110
    with Network(network=newest.number, clock=Clock()) as network:
        heights = state_get_network_params(Node(network))["ForkUpgradeParams"]
        assert heights["UpgradeXxHeight"] == 9_999_999_999  # lotus: an unscheduled upgrade
        manifest = network.machine.manifest
        network.upgrade(made_up.number)
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        assert (network.version, network.base_fee) == (made_up.number, 110)
        assert network.machine.manifest == manifest


def test_state_layout_change_is_not_inherited_by_successor() -> None:
    """Otherwise a version after nv29 would split the rewards again."""
    assert NV29.layouts is Layouts.STREAMS
    assert NV29.successor().layouts is Layouts.UNKNOWN


def test_version_without_included_actors_needs_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    added = newest.successor(actors=newest.actors + 1)
    monkeypatch.setitem(NETWORK_VERSIONS, added.number, added)
    with pytest.raises(BundleError, match=f"does not include built-in actors v{added.actors}; pass a bundle"):
        Network(network=added.number, clock=Clock())
    monkeypatch.setattr("hypervisor.migrations.migration.actors_version", lambda manifest: None)
    with pytest.raises(InvalidInput, match=f"nv{added.number} changes the layout of states, and its migration is not"):
        Network(network=newest.number, clock=Clock(), upgrades={1: (added.number, f"own-v{newest.actors}")})
    with pytest.raises(InvalidInput, match=f"our own bundle runs on nv21 to nv{added.number}, not on nv18"):
        Network(network=18, clock=Clock())


@pytest.mark.parametrize("number", [row.number for row in NETWORK_VERSIONS.values() if not row.rules.events_in_buffers])
def test_version_needing_official_actors_names_fetchable_release(number: int) -> None:
    with pytest.raises(InvalidInput, match=f"not on nv{number}: use an official one") as refused:
        Network(network=number, clock=Clock())
    advised = re.search(r"`hypervisor bundle fetch (v\d+)`", str(refused.value))
    assert advised is not None
    release = find_release(advised[1])
    assert release.version == NETWORK_VERSIONS[number].actors
    assert release.url is not None


def test_versions_are_found_by_range_and_by_actors() -> None:
    assert [row.number for row in versions_between(26, 29)] == [27, 28, 29]
    assert versions_between(28, 28) == versions_between(29, 28) == []
    assert newest_with_actors(NV18.actors) is NV18
    assert newest_with_actors(NETWORK_VERSIONS[25].actors) is NETWORK_VERSIONS[26]
    assert newest_with_actors(NV27.actors) is NV27
    assert newest_with_actors(9) is None


FULL = """
name = "an experiment"
since = 28
until = 29
[prices]
block_persist_compute = 86_000
invoke.flat = 100_000.5
memory_copy_per_byte = 0.4
message_storage_bytes = 40
hashes.keccak_256.per_unit = 34
verify_aggregate.8.from_4 = 1
[rules]
tipset_lookback = 900
base_fee = "fullness"
[evm]
add = ["CLZ"]
remove = ["P256"]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "experiment.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_overlay_changes_only_named_prices(tmp_path: Path) -> None:
    row = network_version(29, read_overlay(written(tmp_path, FULL)))
    prices = row.prices
    assert prices.block_persist_compute == 86_000_000  # milligas
    assert prices.invoke == Price(100_000_500, 300_000)
    assert prices.memory_copy_per_byte == 400
    assert prices.message_storage_bytes == 40  # bytes, not gas
    assert prices.hashes[0x1B] == Price(0, 34_000)
    assert prices.hashes[0x12] == NV29.prices.hashes[0x12]
    assert prices.verify_aggregate[8].steps[0] == (4, 1_000)
    assert prices.verify_aggregate[8].steps[1:] == NV29.prices.verify_aggregate[8].steps[1:]
    assert prices.syscall == NV29.prices.syscall
    assert (row.rules.tipset_lookback, row.base_fee) == (900, BaseFee.FULLNESS)
    assert row.evm == NV29.evm - {"P256"}
    before = price_values(NV29.prices)
    changed = {name for name, value in price_values(prices).items() if value != before[name]}
    assert changed == {
        "block_persist_compute", "invoke.flat", "message_storage_bytes", "hashes.keccak_256.per_unit",
        "verify_aggregate.8.from_4",
    }  # fmt: skip


def test_version_outside_overlay_range_keeps_prices_and_overlay(tmp_path: Path) -> None:
    overlay = read_overlay(written(tmp_path, FULL))
    row = network_version(27, overlay)
    assert (row.prices, row.rules, row.evm) == (NETWORK_VERSIONS[27].prices, NETWORK_VERSIONS[27].rules, row.evm)
    assert row.overlay == overlay
    assert row.key != NETWORK_VERSIONS[27].key


def test_the_rows_of_the_table_stay_as_they_are(tmp_path: Path) -> None:
    before = price_values(NV28.prices), NV28.evm
    network_version(28, read_overlay(written(tmp_path, FULL)))
    assert (price_values(NV28.prices), NV28.evm) == before
    assert NETWORK_VERSIONS[28].overlay is None


def test_overlay_equality_depends_on_changes_not_name(tmp_path: Path) -> None:
    one = read_overlay(written(tmp_path, FULL))
    same = read_overlay(written(tmp_path, FULL.replace("an experiment", "called otherwise")))
    other = read_overlay(written(tmp_path, FULL.replace("86_000", "86_001")))
    assert (one.digest, one) == (same.digest, same)
    assert other.digest != one.digest
    assert other != one
    assert Overlay.from_fields(one.fields()) == one
    assert Overlay.from_fields(one.fields()).digest == one.digest


def test_prices_of_every_version_are_named_shown_and_changed() -> None:
    for row in NETWORK_VERSIONS.values():
        values = price_values(row.prices)
        doubled = with_prices(row.prices, {name: 2 * value for name, value in values.items()}, "twice")
        assert price_values(doubled) == {name: 2 * value for name, value in values.items()}
    assert "randomness_entropy.flat" in price_values(NV18.prices)
    assert "randomness_entropy.flat" not in price_values(NV29.prices)
    assert show_price("syscall", TEEP.syscall) == "14,000"
    assert show_price("memory_copy_per_byte", 400) == "0.4"
    assert show_price("message_storage_bytes", 36) == "36 bytes"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[prices]\nblock_persist_compte = 1", r"'block_persist_compte': did you mean block_persist_compute\?"),
        ("[prices]\ninvoke = 1", r"no price 'invoke': did you mean invoke.flat, invoke.per_unit\?"),
        ("[prices]\nsyscall = -1", "the price syscall is -1 gas: expected 0 or more"),
        ("[prices]\nsyscall = -0.001", "the price syscall is -0.001 gas: expected 0 or more"),
        ("[prices]\nsyscall = 0.0001", "at most 3 decimals"),
        ("[prices]\nsyscall = inf", "expected a number, in gas"),
        ("[prices]\nsyscall = nan", "expected a number, in gas"),
        ("[prices]\nsyscall = true", "expected a number, in gas"),
        ("[prices]\nsyscall = [1]", "expected a number, in gas"),
        ("[prices]\nsyscall = 'many'", "expected a number, in gas"),
        ("[prices]\nsyscall = 9223372036854776", "is over 9,223,372,036,854,775 gas"),
        ("[prices]\nwasm_memory_per_byte = 31", "is over 30 gas"),
        ("[prices]\nmessage_storage_bytes = 1.5", "expected a whole number of bytes"),
        ("[prices]\nmessage_storage_bytes = '1e999999999'", "is 1e999999999: expected a number, in gas"),
        ("[prices]\nsyscall = -1e999999999", r"is -1E\+999999999: expected a number, in gas"),
        ("[prices]\nsyscall = 1e-999999999", "is 1E-999999999: expected a number, in gas"),
        (f"[prices]\nsyscall = 0x{'f' * 100_000}", "the price syscall has 400,000 bits: expected 64 at most"),
        (f"[prices]\nsyscall = {'9' * 5_000}", "is not TOML: Exceeds the limit"),
        (f"since = 0x{'f' * 9_000}", "Exceeds the limit"),
        (f"[prices]\n{'.'.join('a' * 80)} = 1", r"has no 'a.a.a.': names have at most 3 parts"),
        ("[prices]\nrandomness_entropy.flat = 1", "nv21 has no price randomness_entropy.flat: .* nv18 to nv20"),
        ("[prices]\nverify_aggregate.18.per_item = 1", "nv18 has no price .*: restrict the overlay to nv25 to nv29"),
        ("prices = 1", r"prices is 1: expected a table, \[prices\]"),
        ("[price]\nsyscall = 1", r"the file has no 'price': did you mean prices\?"),
        ("[rules]\ntipset_lookbak = 1", r"no 'tipset_lookbak': did you mean tipset_lookback\?"),
        ("[rules]\ntipset_lookback = -1", "expected a number of epochs, or 'any'"),
        ("[rules]\ntracks_links = 1", "the rule tracks_links is 1: expected true or false"),
        ("[rules]\nabi = 'v3'", "has no 'abi'"),
        ("[rules]\nbase_fee = 'high'", "expected fullness or premium"),
        ("[rules]\nreceipts = 'all'", "the rule receipts is for draft versions"),
        ("[evm]\nadd = ['CLX']", r"\[evm\] has no 'CLX': did you mean CLZ\?"),
        ("[evm]\nadd = 'CLZ'", "expected a list of names"),
        ("[evm]\nadd = ['CLZ']\nremove = ['CLZ']", r"\[evm\] adds and removes CLZ"),
        ("since = 30\n[prices]\nsyscall = 1", "since is 30: expected a network version, 18 to 29"),
        ("since = 29\nuntil = 28\n[prices]\nsyscall = 1", "since 29 until 28 contains no network version"),
        ("name = ''\n[prices]\nsyscall = 1", "expected a string of 1 to 100 letters"),
        ("", "changes nothing"),
        ("[prices", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)  # fmt: skip
def test_invalid_overlay_file_is_rejected_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "experiment.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=words) as refused:
        read_overlay(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"overlay .* cannot be read"):
        read_overlay(tmp_path / "none.toml")
    with pytest.raises(InvalidInput, match="longer than 1,048,576 bytes"):
        read_overlay(written(tmp_path, "#" * (1 << 20) + "\n"))


def test_command_line_prices_form_overlay_of_one_version() -> None:
    overlay = price_overlay({"syscall": 1_000}, [NV29])
    assert (overlay.since, overlay.until, overlay.prices) == (29, 29, (("syscall", 1_000),))
    with pytest.raises(InvalidInput, match=r"nv29 has no price 'sycall': did you mean syscall\?"):
        price_overlay({"sycall": 1_000}, [NV29])


def test_a_decimal_of_toml_is_exact(tmp_path: Path) -> None:
    row = network_version(29, read_overlay(written(tmp_path, "[prices]\nsyscall = 4503599627370.497\n")))
    assert row.prices.syscall == int(Decimal("4503599627370.497") * 1000)  # a float would lose the last digit


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
