"""Short crash tests; `make crash` is long.

- Short crash tests; `make crash` runs them in full.
- Killed commands continue.
- Short tests of failing system calls; `make crash-faults` runs them in full.
- A network killed during its upgrade to network version 29 has either completed the upgrade or not started it.
"""

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.state import state_tree
from hypervisor.types import REWARD_ACTOR
from localnet import Network
from localnet.ledger.records import Tipset
from store.blockstore import get_object
from tests.crash import collection, epochs, faults, states
from tests.crash.__main__ import unsynced_commits
from tests.crash.commands import incomplete, play
from tests.crash.faulty_process import FAULTS, Case
from tests.crash.system_faults import Outcome, Suite, processes
from tests.localnet.conftest import Clock
from tests.store.stores import scratch_folder


@pytest.mark.slow
def test_store_reopens_at_acknowledged_state_after_any_kill(tmp_path: Path) -> None:
    result = faults.run_kills(tmp_path / "store", 15, seed=20)
    assert result.findings == []
    assert result.kills == 15
    assert result.commits > 50


@pytest.mark.slow
def test_damaged_rocksdb_store_reopens_whole_or_reports_damage(tmp_path: Path) -> None:
    result = faults.run_sweep(tmp_path, 8, seed=21, stride=300)
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
def test_each_commit_is_synced() -> None:
    assert unsynced_commits() == 0


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


def test_incomplete_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "broadcast" / "1").mkdir(parents=True)
    (tmp_path / "broadcast" / "1" / "run-latest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "broadcast" / "1" / "run-latest.json.4711").write_text('{"trans', encoding="utf-8")
    (tmp_path / "cache" / "test-failures").write_text("testFuzz_over|test_broken", encoding="utf-8")
    assert [*incomplete(tmp_path)] == []
    (tmp_path / "broadcast" / "1" / "run-1.json").write_text('{"trans', encoding="utf-8")
    (tmp_path / "cache" / "test-failures").write_text("testFuzz_ov", encoding="utf-8")
    found = [*incomplete(tmp_path)]
    assert found[0].startswith("broadcast/1/run-1.json is incomplete")
    assert found[1:] == ["cache/test-failures is 'testFuzz_ov'"]


@pytest.mark.oracle
def test_killed_commands_continue() -> None:
    run = play(6, seed=1)
    assert run.findings == []
    assert run.counts["tests"] > 0
    assert run.counts["scripts"] > 0


needs_compiler = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    place = scratch_folder()
    with processes(place, pause=0.2) as served:
        yield Suite(served, place)
    shutil.rmtree(place)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_loses_no_acknowledged_commit(suite: Suite, fault: str) -> None:
    rng = random.Random(fault)
    problems = {str(case): suite.problem(case) for case in [suite.case(fault, rng) for _ in range(3)]}
    assert [*filter(None, problems.values())] == []


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ("disk full", "error"),
        ("sync errors", "error"),
        ("read-only remount", "error"),
        ("out of file descriptors", "error"),
        ("kill for lack of memory", "ended"),
        ("memory limit reached", "ended"),
    ],
)
def test_fault_has_an_effect(suite: Suite, fault: str, effect: str) -> None:
    before = suite.outcomes[f"{fault}: {effect}"]
    assert suite.problem(Case("store", suite.ends["store"], fault, 8)) == ""
    assert suite.outcomes[f"{fault}: {effect}"] == before + 1


@pytest.mark.slow
@needs_compiler
def test_folder_of_a_stopped_process_is_locked(suite: Suite) -> None:
    case = Case("store", suite.ends["store"], "stopped process", suite.calls_of("store", "stopped process") * 3 // 4)
    before = suite.outcomes["stopped process: folder locked"]
    assert suite.problem(case) == ""
    assert suite.outcomes["stopped process: folder locked"] == before + 1


@pytest.mark.slow
@needs_compiler
def test_next_process_may_skip_one_state_that_was_not_acknowledged(suite: Suite) -> None:
    """The last tipset is three heights after its parent: two null rounds."""
    case = Case("network", suite.ends["network"], "kill for lack of memory", 1)

    def gap(last: int, first: int) -> str:
        return suite.gap(case, Outcome([(last, "")]), Outcome([(first, "")]))

    assert gap(15, 16) == gap(15, 19) == gap(16, 19) == ""
    assert gap(14, 19) == "14 acknowledged, the next process continues with 19"
    assert gap(15, 15) == "15 acknowledged, the next process continues with 15"


EPOCHS = 6

PLACES = {
    "between the two states": ("hypervisor.migrations.nv29.migrate_market", False),
    "behind the migration": ("hypervisor.machine.machine.Hypervisor.upgrade", True),
    "behind the first blocks stored early": ("store.rocks.database.RocksStore.spill", True),
    "before the block is committed": ("localnet.chain.chain.tipset_entries", True),
    "behind the commit": ("store.rocks.database.RocksStore.commit", True),
}
"""Function at whose call the process is killed in the upgrade's block, and True if it is killed after the call."""


def kill_during_upgrade(folder: str, target: str, behind: bool) -> None:
    """Advance the chain to the upgrade and kill the process at a call of `target` in the upgrade's block."""
    real: Callable[..., Any] = resolve_name(target)

    def killing(*given: Any, **named: Any) -> Any:
        if behind:
            real(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    with Network(folder, clock=Clock()) as network:
        due = network.chain.record.upgrades.planned[0].epoch
        while network.block_number < due:
            states.make_tipset(network)
        every = 5 if target.endswith("spill") else 10_000  # actors until blocks are stored early
        with mock.patch(target, killing), mock.patch.object(state_tree, "_PROGRESS", every):
            states.make_tipset(network)


def whole_or_not_at_all(network: Network) -> bool:
    """Return True if the upgrade is complete: version, actors and reward's state agree."""
    state = network.machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None
    fields = len(get_object(network.machine.store, state.head))
    found = (network.version, network.machine.manifest.data, fields)
    before, after = (28, Bundle.embedded().manifest.data, 11), (29, Bundle.embedded("v19").manifest.data, 15)
    assert found in (before, after)
    return found == after


@pytest.fixture(scope="module")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[Any]]:
    """Create a folder with a scheduled upgrade; return its final height and the tipsets of the uninterrupted chain."""
    place = tmp_path_factory.mktemp("upgrade")
    end = states.start_network(place / "first", EPOCHS)
    shutil.copytree(place / "first", place / "whole")
    with Network(place / "whole", clock=Clock()) as network:
        while network.block_number < end:
            states.make_tipset(network)
        assert whole_or_not_at_all(network)
        return place / "first", end, states.tipset_positions(network)


@pytest.mark.slow
@pytest.mark.parametrize("where", PLACES)
def test_network_killed_during_upgrade_recovers_the_same_chain(
    prepared_folder: tuple[Path, int, list[Any]], tmp_path: Path, where: str
) -> None:
    first, end, tipsets = prepared_folder
    folder = tmp_path / "life"
    shutil.copytree(first, folder)
    process = get_context("spawn").Process(target=kill_during_upgrade, args=(str(folder), *PLACES[where]))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with Network(folder, clock=Clock()) as network:
        head: Tipset = network.head
        assert network.machine.root == head.state
        assert (head.height, head.key, head.state) in tipsets
        assert whole_or_not_at_all(network) == (where == "behind the commit")
        while network.block_number < end:
            states.make_tipset(network)
        assert whole_or_not_at_all(network)
        assert states.tipset_positions(network) == tipsets
