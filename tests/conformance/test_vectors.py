"""Golden vectors of message execution, compared with the reference implementation's results."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import VectorResult, run_vector
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.versions.network_versions import NetworkVersion, network_version
from tests.conformance.golden import BUILT_IN_ACTORS_RUN, GOLDEN, MESSAGE_FILES, VERSIONS
from tests.conformance.oracle_diff import Vectors, by_id, sample
from tests.conftest import bundle_folder, fvm_data

COUNT = 45
SEED = 1

KERNEL_FILES = (
    "actor",
    "crypto",
    "decoder",
    "events",
    "fees",
    "ipld",
    "modules",
    "proofs",
    "self",
    "send",
    "surroundings",
)
"""Files about messages, syscalls and WASM modules: the reference's results with exact gas."""


@cache
def chosen() -> Vectors:
    """Return some vectors of every file and version; without official bundles, those that need only manifests."""
    left_out = () if fvm_data() else BUILT_IN_ACTORS_RUN
    files = (by_id(path) for path in MESSAGE_FILES)
    kept = ({name: one for name, one in file.items() if not name.startswith(left_out)} for file in files)
    return sample([file for file in kept if file], COUNT, SEED)


def write_file(folder: Path, vectors: Iterable[dict[str, Any]]) -> Path:
    """Write a file of golden vectors and return its path."""
    path = folder / "sample.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in vectors).encode()))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the sample as a file of golden vectors."""
    return write_file(tmp_path, chosen().values())


def results(file: Path) -> Iterator[VectorResult]:
    return run_vector(file, BundleFolder(bundle_folder()))


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNEL_FILES)
@pytest.mark.parametrize(("boundary", "version"), [("raw", VERSIONS[-2]), ("plain", VERSIONS[0])])
def test_messages_and_syscalls_match_the_reference(
    name: str, boundary: str, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FVM_BOUNDARY", boundary)
    left_out = () if fvm_data() else BUILT_IN_ACTORS_RUN
    vectors = {
        key: vector for key, vector in by_id(GOLDEN / f"{name}.jsonl.gz").items() if key.endswith(f"@nv{version}")
    }
    chosen = {key: vector for key, vector in vectors.items() if not key.startswith(left_out)}
    done = list(results(write_file(tmp_path, chosen.values())))
    assert {result.vector: result.differences for result in done if not result.passed} == {}
    assert {result.vector for result in done} == set(chosen) != set()


@pytest.mark.slow
def test_the_sample_is_of_every_network_version() -> None:
    assert {int(name.rpartition("@nv")[2]) for name in chosen()} == set(VERSIONS)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["raw", "plain"])
def test_the_machine_answers_as_the_reference_did(file: Path, boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BOUNDARY", boundary)
    done = list(results(file))
    assert {result.vector: result.differences for result in done if not result.passed} == {}
    assert {result.vector for result in done} == set(chosen())


@pytest.mark.slow
def test_a_gas_too_much_for_a_syscall_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted defect that changes the gas of most messages that reach an actor."""

    def planted(number: int, _overlay: object) -> NetworkVersion:
        row = network_version(number)
        return replace(row, prices=replace(row.prices, name="planted", syscall=row.prices.syscall + 1000))

    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", planted)
    noticed = {result.vector for result in results(file) if not result.passed}
    assert len(noticed) > COUNT // 2
