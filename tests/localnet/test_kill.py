"""A killed node keeps every receipt that it returned."""

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from localnet.accounts import TEST_MNEMONIC, accounts
from tests.conftest import data_file
from tests.localnet import load_run
from tests.localnet.clients import Client, Load
from tests.localnet.conftest import BUNDLE
from tests.localnet.kill_run import Disturbance, Node, Run, _killed, play, step_clock, stop_for_a_while


@pytest.mark.slow
def test_no_receipt_is_lost_in_two_kills() -> None:
    run = play(kills=2, seed=2, bundle=None)
    assert run.losses == []
    assert run.counts["receipts"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("disturbance", [stop_for_a_while, step_clock])
def test_disturbed_node_answers_every_client_and_keeps_its_receipts(disturbance: Disturbance) -> None:
    run = play(kills=1, seed=2, bundle=None, disturbances={0: disturbance})
    assert run.losses == []
    steps = 2 if disturbance is step_clock else 0
    assert (run.counts["clock steps"], run.counts["stopped nodes"]) == (steps, 1 - steps // 2)
    assert run.counts["receipts"] >= 50 * max(1, steps)
    assert (run.counts["blocks ahead of the clock"] >= 50) == bool(steps)


def test_a_node_that_ends_by_itself_is_a_failure() -> None:
    """The run ends instead of waiting for a receipt from a dead node."""
    process = SimpleNamespace(is_alive=lambda: False, exitcode=-11)
    node = cast(Node, SimpleNamespace(process=process, port=1, kill=lambda: None))
    load, run = Load(), Run(Path())
    clients = [Client(load, accounts(TEST_MNEMONIC, 1)[0], random.Random(1))]
    ended = _killed(run, node, load, clients, random.Random(1), at_any_moment=False)
    asyncio.run(asyncio.wait_for(ended, 20))
    assert load.failures == ["the node ended by itself, with status -11"]


@pytest.mark.long
def test_official_bundle_loses_no_receipt_in_fifty_kills() -> None:
    run = play(kills=50, seed=3, bundle=data_file(BUNDLE))
    assert run.losses == []
    assert run.counts["kills at any moment"] == run.counts["kills right after a receipt"] == 25
    assert run.counts["receipts"] > 50


@pytest.mark.long
def test_two_hundred_clients_lose_nothing_when_node_is_killed() -> None:
    load, lost = load_run.play(count=2_000, seed=4)
    assert (load.failures, lost) == ([], [])
    assert len(load.receipts) >= 1_900
