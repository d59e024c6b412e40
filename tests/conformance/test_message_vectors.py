"""Filecoin's official message vectors, exact to the unit of gas and the state root."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devtools.vectors.conformance import bundle_store, run_vector
from hypervisor.network_versions import NV18, network_version
from hypervisor.prices import HYGGE
from tests.conftest import data_file, fvm_data

_SKIPPED_BY_THE_REFERENCE = "DisputeWindowedPoSt/Ok"
"""A class that needs a failing proof; the reference's driver skips it, since its verifier says yes to all."""


def vectors() -> list[Path]:
    """Every vector at hand, in a stable order."""
    data = fvm_data()
    found = sorted((data / "vectors/fvm-nv18").rglob("*.json")) if data else []
    return [path for path in found if _SKIPPED_BY_THE_REFERENCE not in path.as_posix()]


@pytest.mark.parametrize("path", vectors(), ids=lambda path: path.stem)
def test_a_message_of_the_network_has_its_recorded_outcome(path: Path) -> None:
    bundle = bundle_store(data_file("bundles/v10-mainnet.car"))
    for result in run_vector(path, bundle):
        assert result.passed, result.differences


def test_one_milligas_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_file("vectors/fvm-nv18/fil_10_verifiedregistry/AddVerifiedClient/Ok")
    planted = replace(NV18, prices=replace(HYGGE, name="planted", block_open_flat=HYGGE.block_open_flat + 1000))
    monkeypatch.setattr("devtools.vectors.conformance.network_version", lambda _number: planted)
    bundle = bundle_store(data_file("bundles/v10-mainnet.car"))
    (result,) = run_vector(next(path.glob("*.json")), bundle)
    assert any(difference.startswith("gas") for difference in result.differences)
    assert network_version(18) is NV18
