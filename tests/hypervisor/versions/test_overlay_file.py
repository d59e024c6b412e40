"""Overlays: valid files, errors and their messages, and isolation from other price lists."""

from decimal import Decimal
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.prices import TEEP, Price, price_values, show_price, with_prices
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NV18, NV28, NV29, BaseFee, network_version
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.overlay_file import price_overlay, read_overlay

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
