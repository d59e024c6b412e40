"""Vectors of messages and tipsets.

- Golden vectors of message execution, compared with the reference implementation's results.
- Filecoin's official message vectors: exact gas and state root.
- The corpus of tipset vectors: its coverage, and a sample; `make conformance` runs all of them.

Without the test data, the first golden vectors of each file replace them.

`make oracle-vectors` regenerates it with the reference's results.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hypervisor.machine.parallel import Parallel
from hypervisor.tracing import Recorder
from hypervisor_tools.laboratory.vectors.conformance import (
    VectorResult,
    find_vectors,
    is_skipped,
    read_vectors,
    run_vector,
)
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from hypervisor_tools.laboratory.vectors.run_files import RunOptions, run_file
from tests.conformance.oracle_diff import Vectors, by_id, sample
from tests.conformance.tipset_corpus import SEVERAL, SOURCE, TIPSETS, blocks_file_of, file_of, results_of
from tests.conftest import bundle_folder, data_file, fvm_data
from tests.golden_cases import BUILT_IN_ACTORS_RUN, GOLDEN, MESSAGE_FILES, VERSIONS

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


FEWEST, LARGEST = 300, 3_000_000
EVERY = 12
EXIT_CODES = {0, 5, 7, 16, 17, 18, 21, 22, 33, 34}
"""Exit codes that the corpus must contain: no such actor, out of gas, forbidden, not found and others."""


def test_the_corpus_is_of_every_network_version_and_rich() -> None:
    counts, codes = Counter[int](), Counter[int]()
    null_rounds = wins = 0
    for version in VERSIONS:
        vectors = [*read_vectors(file_of(version))]
        counts[version] = len(vectors)
        codes.update(receipt["exit_code"] for receipt in results_of(vectors))
        for vector in vectors:
            assert vector["class"] == "tipset"
            assert {"source": SOURCE} in vector["_meta"]["gen"]
            assert [variant["nv"] for variant in vector["preconditions"]["variants"]] == [version]
            (tipset,) = vector["apply_tipsets"]
            null_rounds += len(tipset.get("null_rounds", []))
            wins += sum(block["win_count"] for block in tipset["blocks"])
    assert counts.total() >= FEWEST
    assert min(counts.values()) >= FEWEST // len(VERSIONS)
    assert codes.keys() >= EXIT_CODES
    assert null_rounds > counts.total()
    assert wins == counts.total()
    assert sum(path.stat().st_size for path in TIPSETS.iterdir()) < LARGEST


def test_some_tipsets_share_messages_and_one_has_a_penalty() -> None:
    for version in VERSIONS:
        vectors = [*read_vectors(blocks_file_of(version))]
        assert len(vectors) == SEVERAL
        for vector in vectors:
            (tipset,) = vector["apply_tipsets"]
            first, second, third = tipset["blocks"]
            assert set(first["messages"]) & set(second["messages"])
            assert [block["win_count"] for block in tipset["blocks"]] == [1, 3, 2]
            assert len(third["messages"]) == 1
            penalties = [int(receipt["penalty"]) for receipt in vector["postconditions"]["receipts"]]
            assert max(penalties) > 0


@pytest.mark.slow
def test_this_machine_answers_as_the_reference_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles = data_file("bundles")
    sample = [vector for version in VERSIONS for vector in [*read_vectors(file_of(version))][version % 3 :: EVERY]]
    sample += [next(read_vectors(blocks_file_of(version))) for version in VERSIONS]
    file = tmp_path / "sample.jsonl.gz"
    file.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in sample).encode()))
    records = run_file(file, bundles)
    assert {record["vector"]: record["error"] for record in records if not record["pass"]} == {}
    assert [record["vector"] for record in records] == [vector["_meta"]["id"] for vector in sample]

    parallel: list[Parallel] = []

    def counted(workers: int, **options: Any) -> Parallel:
        parallel.append(Parallel(workers, **options))
        return parallel[-1]

    monkeypatch.setattr("hypervisor_tools.laboratory.vectors.conformance.Parallel", counted)
    assert run_file(file, bundles, RunOptions(parallel=2)) == records
    taken, again = sum(each.accepted for each in parallel), sum(each.reexecuted for each in parallel)
    assert taken > again  # and they are executed by workers, but for those that conflict


def test_a_difference_in_a_tipset_names_its_epoch(tmp_path: Path) -> None:
    vector = next(read_vectors(file_of(VERSIONS[0])))
    vector["postconditions"]["receipts"][0]["gas_used"] += 1
    file = tmp_path / "altered.json"
    file.write_text(json.dumps(vector), encoding="utf-8")
    (record,) = run_file(file, data_file("bundles"))
    assert " of epoch " in record["error"]
