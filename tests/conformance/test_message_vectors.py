"""Filecoin's official message vectors: exact gas and state root.

Without the test data, the first golden vectors of each file replace them.
"""

import gzip
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import find_vectors, is_skipped, read_vectors, run_vector
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.prices import HYGGE
from hypervisor.tracing import Recorder
from hypervisor.versions.network_versions import NV18, network_version
from tests.conformance.golden import BUILT_IN_ACTORS_RUN, GOLDEN, MESSAGE_FILES
from tests.conftest import bundle_folder, data_file, fvm_data

FEW = 5


@cache
def bundles() -> BundleFolder:
    return BundleFolder(bundle_folder())


def vectors() -> list[Path]:
    """Return all available vectors except those that the reference's driver skips."""
    data = fvm_data()
    if data is None:
        return [path for path in MESSAGE_FILES if not f"{name_of(path)}/".startswith(BUILT_IN_ACTORS_RUN)]
    return [path for path in find_vectors([data / "vectors/fvm-nv18"]) if not is_skipped(path)]


def name_of(path: Path) -> str:
    """Return a file's name without its suffixes."""
    return path.name.partition(".")[0]


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a vector, or the first vectors of a golden file."""
    found: Path = request.param
    if found.parent != GOLDEN:
        return found
    vectors = [one for one in read_vectors(found) if not one["_meta"]["id"].startswith(BUILT_IN_ACTORS_RUN)]
    file = tmp_path / found.name
    file.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in vectors[:FEW]).encode()))
    return file


@pytest.mark.parametrize("path", vectors(), ids=name_of, indirect=True)
def test_official_vector_has_recorded_outcome(path: Path) -> None:
    for result in run_vector(path, bundles()):
        assert result.passed, result.differences


@pytest.mark.parametrize("path", vectors(), ids=name_of, indirect=True)
def test_both_boundaries_emit_equal_events(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares charges, calls, events and the printed record between the raw and the plain boundary."""
    outcomes = []
    for boundary in ("raw", "plain"):
        monkeypatch.setenv("FVM_BOUNDARY", boundary)
        recorder = Recorder()
        outcomes.append(([result.record() for result in run_vector(path, bundles(), recorder)], recorder.events))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1]


def test_one_additional_gas_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_file("vectors/fvm-nv18/fil_10_verifiedregistry/AddVerifiedClient/Ok")
    planted = replace(NV18, prices=replace(HYGGE, name="planted", block_open_flat=HYGGE.block_open_flat + 1000))
    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", lambda *_: planted)
    (result,) = run_vector(next(path.glob("*.json")), bundles())
    assert any(difference.startswith("gas") for difference in result.differences)
    assert network_version(18) is NV18
