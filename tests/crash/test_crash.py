"""Short crash tests; `make crash` runs them in full."""

from pathlib import Path

import pytest

from tests.crash import collection, epochs, faults, kills, sweep
from tests.crash.__main__ import planted, unsynced_commits


@pytest.mark.slow
def test_store_reopens_at_acknowledged_state_after_any_kill(tmp_path: Path) -> None:
    result = kills.run_kills(tmp_path / "store", 15, seed=20)
    assert result.findings == []
    assert result.kills == 15
    assert result.commits > 50


@pytest.mark.slow
def test_damaged_rocksdb_store_reopens_whole_or_reports_damage(tmp_path: Path) -> None:
    result = sweep.run_sweep(tmp_path, 8, seed=21, stride=300)
    assert result.findings == []
    assert {name.split(":")[0] for name in result.outcomes} >= {
        *("cut at a record", "cut anywhere", "lost unsynced tail", "file gone", "file emptied"),
        *("flip in log", "flip in sst", "flip in MANIFEST", "flip in CURRENT", "flip in FORMAT", "flip in COMMITS"),
    }
    assert sum(count for name, count in result.outcomes.items() if name.endswith("reopened")) > 50


@pytest.mark.slow
@pytest.mark.parametrize("reopen", [True, False], ids=["reopened", "same store"])
@pytest.mark.parametrize("done_before", [True, False], ids=["written", "not written"])
def test_failed_write_loses_no_data_and_leaves_no_files(reopen: bool, done_before: bool) -> None:
    result = faults.run_faults(reopen=reopen, done_before=done_before, every=4)
    assert result.findings == []
    assert result.faults >= 8


@pytest.mark.slow
def test_the_suite_finds_a_missing_sync() -> None:
    assert unsynced_commits("none") == 0
    found = planted("no-sync", 3, seed=22, commits=3)
    assert found.keys() >= {"faults below RocksDB", "synced writes"}


@pytest.mark.slow
def test_the_suite_finds_a_missing_batch() -> None:
    found = planted("no-batch", 20, seed=23, commits=3)
    assert found["faults below RocksDB"]  # kills find it, too, but not twenty of them every time


@pytest.mark.slow
def test_collection_beside_a_writer_drops_only_garbage(tmp_path: Path) -> None:
    record = collection.check(tmp_path, 20_000, seed=24)
    assert record.findings == []
    assert record.stages["dropped"] == 20_000


@pytest.mark.slow
def test_killed_network_recovers_chain_of_an_undisturbed_one() -> None:
    result = epochs.kill(3, 24, seed=25)
    assert result.findings == []
    assert (result.kills, result.reopened, result.ended) == (3, 3, 3)
