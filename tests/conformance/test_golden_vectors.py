"""Golden vectors of message execution, compared with the reference implementation's results."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
from fvm_hypervisor.laboratory.vectors.conformance import VectorResult, run_vector
from hypervisor.network_versions import NetworkVersion, network_version
from tests.conformance.golden import BUILT_IN_ACTORS_RUN, MESSAGE_FILES, VERSIONS
from tests.conformance.oracle_diff import Vectors, by_id, sample
from tests.conftest import bundle_folder, fvm_data

pytestmark = pytest.mark.slow

COUNT = 45
SEED = 1


@cache
def chosen() -> Vectors:
    """Return some vectors of every file and version; without official bundles, those that need only manifests."""
    left_out = () if fvm_data() else BUILT_IN_ACTORS_RUN
    files = (by_id(path) for path in MESSAGE_FILES)
    kept = ({name: one for name, one in file.items() if not name.startswith(left_out)} for file in files)
    return sample([file for file in kept if file], COUNT, SEED)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the sample as a file of golden vectors."""
    path = tmp_path / "sample.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in chosen().values()).encode()))
    return path


def results(file: Path) -> Iterator[VectorResult]:
    return run_vector(file, BundleFolder(bundle_folder()))


def test_the_sample_is_of_every_network_version() -> None:
    assert {int(name.rpartition("@nv")[2]) for name in chosen()} == set(VERSIONS)


@pytest.mark.parametrize("boundary", ["raw", "plain"])
def test_the_machine_answers_as_the_reference_did(file: Path, boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BOUNDARY", boundary)
    done = list(results(file))
    assert {result.vector: result.differences for result in done if not result.passed} == {}
    assert {result.vector for result in done} == set(chosen())


def test_a_gas_too_much_for_a_syscall_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted defect that changes the gas of most messages that reach an actor."""

    def planted(number: int) -> NetworkVersion:
        row = network_version(number)
        return replace(row, prices=replace(row.prices, name="planted", syscall=row.prices.syscall + 1000))

    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", planted)
    noticed = {result.vector for result in results(file) if not result.passed}
    assert len(noticed) > COUNT // 2
