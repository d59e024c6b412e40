"""EVM actors of network versions 18 to 21: our engines compared with each version's official module and bundle.

The test data has no bundle of v11: nv19 and nv20 are compared if its release is installed (`hypervisor bundle fetch`).
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import downloaded_releases
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, network_version
from runtimes.evm.filecoin_rules import filecoin_evm_rules
from runtimes.evm.rules import EvmRules
from tests.conftest import data_file, with_data
from tests.differential.generator import generate
from tests.differential.older import older_case
from tests.differential.twins import Case, Twins

CASES = 150
GENERATED = 60
DATA = {10: "bundles/v10-mainnet.car", 12: "bundles/v12-testing-fake-proofs.car"}
FIRST, LAST = 18, 21
CHANGED = ("creation_returns", "tombstone_reloads", "getters_ignore_params", "delegate_any_cbor")
"""Rules of the EVM actor that differ between the two; `bytecode_codec` differs only in v11."""


def installed_releases(version: int) -> list[Path]:
    """Return the installed releases of a version."""
    return [path for name, path in downloaded_releases().items() if name.startswith(f"v{version}-")][:1]


def comparable_versions() -> list[int]:
    """Return the network versions with an available official module."""
    rows = [row for row in NETWORK_VERSIONS.values() if FIRST <= row.number <= LAST]
    return [*with_data(*(row.number for row in rows if row.actors in DATA or installed_releases(row.actors)))]


@lru_cache(1)
def older_twins(number: int) -> Twins:
    network = network_version(number)
    path = data_file(DATA[network.actors]) if network.actors in DATA else installed_releases(network.actors)[0]
    return Twins(Bundle.open(path), network=network)


def cases() -> Iterator[Case]:
    return (older_case(1, number) for number in range(CASES))


@pytest.mark.slow
@pytest.mark.parametrize("number", comparable_versions())
def test_each_older_version_matches_its_official_module(number: int) -> None:
    compared = [older_twins(number).compare(case) for case in cases()]
    assert not [found.difference for found in compared if found.difference]
    assert sum(outcome.exit_code == 0 for found in compared for outcome in found.official) > CASES


@pytest.mark.slow
@pytest.mark.parametrize("number", comparable_versions())
def test_programs_of_the_grammar_do_the_same_on_both(number: int) -> None:
    compared = [older_twins(number).compare(generate(7, case)) for case in range(GENERATED)]
    assert not [found.difference for found in compared if found.difference and not found.gas_decided]


@pytest.mark.slow
@pytest.mark.parametrize("rule", CHANGED)
@pytest.mark.parametrize(("number", "other"), with_data((FIRST, LAST), (LAST, FIRST)))
def test_a_rule_of_the_other_version_is_found(number: int, other: int, rule: str) -> None:
    value = getattr(filecoin_evm_rules(network_version(other)), rule)
    assert value != getattr(filecoin_evm_rules(network_version(number)), rule)

    def planted(network: NetworkVersion) -> EvmRules:
        return replace(filecoin_evm_rules(network), name=f"{rule} of nv{other}", **{rule: value})

    with patch("runtimes.evm.runtime.filecoin_evm_rules", planted):
        older_twins.cache_clear()
        assert any(older_twins(number).compare(case).difference for case in cases())
    older_twins.cache_clear()


def test_the_rules_that_differ_are_those_with_a_planted_defect() -> None:
    first, last = (filecoin_evm_rules(network_version(number)) for number in (FIRST, LAST))
    differing = {field.name for field in fields(EvmRules) if getattr(first, field.name) != getattr(last, field.name)}
    assert differing == {"name", *CHANGED}
