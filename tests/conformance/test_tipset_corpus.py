"""The corpus of tipset vectors: its coverage, and a sample; `make conformance` runs all of them.

`make oracle-vectors` regenerates it with the reference's results.
"""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from fvm_hypervisor.laboratory.vectors.run_files import RunOptions, run_file
from hypervisor.machine.parallel import Parallel
from hypervisor.versions.network_versions import NetworkVersion, network_version
from tests.conformance.golden import VERSIONS
from tests.conformance.tipset_corpus import SEVERAL, SOURCE, TIPSETS, blocks_file_of, file_of, results_of
from tests.conftest import data_file

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

    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.Parallel", counted)
    assert run_file(file, bundles, RunOptions(parallel=2)) == records
    taken, again = sum(each.accepted for each in parallel), sum(each.reexecuted for each in parallel)
    assert taken > again  # and they are executed by workers, but for those that conflict

    def planted(number: int, _overlay: object) -> NetworkVersion:
        row = network_version(number)
        return replace(row, prices=replace(row.prices, name="planted", syscall=row.prices.syscall + 1000))

    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", planted)
    noticed = [record for record in run_file(file, bundles) if not record["pass"]]
    assert len(noticed) == len(sample)  # each tipset has a reward and cron at least
    assert all(" of epoch " in record["error"] for record in noticed)
