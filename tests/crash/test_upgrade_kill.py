"""A network killed during its upgrade to network version 29 has either completed the upgrade or not started it."""

import os
import shutil
import signal
from collections.abc import Callable
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
from tests.crash import life
from tests.localnet.conftest import Clock

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
            life.make_tipset(network)
        every = 5 if target.endswith("spill") else 10_000  # actors until blocks are stored early
        with mock.patch(target, killing), mock.patch.object(state_tree, "_PROGRESS", every):
            life.make_tipset(network)


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
    end = life.start_network(place / "first", EPOCHS)
    shutil.copytree(place / "first", place / "whole")
    with Network(place / "whole", clock=Clock()) as network:
        while network.block_number < end:
            life.make_tipset(network)
        assert whole_or_not_at_all(network)
        return place / "first", end, life.tipset_positions(network)


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
            life.make_tipset(network)
        assert whole_or_not_at_all(network)
        assert life.tipset_positions(network) == tipsets
