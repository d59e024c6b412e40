"""Changes between network versions: the FIP or draft that makes each, and the charges that depend on it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import hypervisor
from hypervisor.gas import PriceList, price_values
from hypervisor.versions.changes import _CHARGE_PRICES, VERSION_FIPS, changes_of_charge, version_changes
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from hypervisor.versions.overlay import Draft, Overlay


def texts(before: int, after: int) -> dict[str, str]:
    changes = version_changes(network_version(before), network_version(after))
    return {name: change.text() for name, change in changes.items()}


@pytest.mark.parametrize("number", VERSION_FIPS)
def test_table_of_fips_names_changes_of_the_version_only(number: int) -> None:
    changes = texts(number - 1, number)
    for names in VERSION_FIPS[number].values():
        for name in names.split():
            assert any(changed == name or changed.startswith(f"{name}.") for changed in changes), name


@pytest.mark.parametrize("number", sorted(NETWORK_VERSIONS)[1:])
def test_each_opcode_and_precompile_of_a_version_has_a_fip(number: int) -> None:
    changes = version_changes(network_version(number - 1), network_version(number))
    features = {"MCOPY", "TRANSIENT", "CLZ", "BEACON_RANDOMNESS", "BLS12_381", "P256"}
    assert [name for name, change in changes.items() if name in features and not change.sources] == []


@pytest.mark.parametrize(
    ("before", "after", "name", "text"),
    [
        (20, 21, "link_tracked", "link_tracked 0 -> 300 (FIP-0071)"),
        (23, 24, "MCOPY", "MCOPY none -> True (FIP-0094)"),
        (24, 28, "CLZ", "CLZ none -> True (FIP-0114)"),
        (28, 29, "actors", "actors v18 -> v19 (FIP-0118)"),
        (29, 28, "actors", "actors v19 -> v18 (FIP-0118)"),
    ],
)
def test_a_change_names_its_fip_and_both_values(before: int, after: int, name: str, text: str) -> None:
    assert texts(before, after)[name] == text


def test_a_draft_is_the_source_of_its_changes() -> None:
    draft = Overlay("mine", 30, None, (("invoke.flat", 80_000_000),), (), (), ("CLZ",), Draft(30, 29))
    changes = version_changes(network_version(29), network_version(30, draft))
    assert [change.text() for change in changes.values()] == [
        "invoke.flat 75,000 -> 80,000 (mine)",
        "CLZ True -> none (mine)",
    ]
    assert [change.name for change in changes_of_charge(changes, "OnMethodInvocation")] == ["invoke.flat"]
    assert changes_of_charge(changes, "OnHashing") == ()


def test_charges_of_the_machine_depend_on_prices_of_the_list() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(hypervisor.__file__).parent.rglob("*.py"))
    charged = set(re.findall(r'charge\(\s*"(On\w+)"', sources)) - {"OnInstallActor"}
    assert charged - set(_CHARGE_PRICES) == set()
    known = {each.name for each in fields(PriceList)} | {"actors", "MCOPY", "TRANSIENT", "CLZ", "BLS12_381", "P256"}
    assert {name for names in _CHARGE_PRICES.values() for name in names.split()} - known == set()
    listed = {name for names in _CHARGE_PRICES.values() for name in names.split()}
    prices = {name.partition(".")[0] for row in NETWORK_VERSIONS.values() for name in price_values(row.prices)}
    assert prices - listed == set()
