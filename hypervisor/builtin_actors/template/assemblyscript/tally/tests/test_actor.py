"""Tests of the actor on an in-process local network. Build the actor before you run pytest.

The fixture `network` comes from the hypervisor pytest plugin. Its state is rolled back after each test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from localnet import NativeActor, Network, TransactionFailed

PROJECT = Path(__file__).resolve().parent.parent
MODULE = PROJECT / "build" / "tally.wasm"


@pytest.fixture
def tally(network: Network) -> NativeActor:
    return network.actors.create(network.actors.install(MODULE, PROJECT / "interface.ipldsch"))


def test_a_new_tally_is_zero(tally: NativeActor) -> None:
    assert tally.call("Total") == 0


def test_amounts_add_up(tally: NativeActor) -> None:
    for amount, total in ((5, 5), (300, 305), (70_000, 70_305), (1 << 40, (1 << 40) + 70_305)):
        assert tally.return_value("Add", tally.send("Add", {"amount": amount})) == total
    assert tally.state.total == tally.call("Total") == (1 << 40) + 70_305


def test_invalid_amount_is_rejected(tally: NativeActor) -> None:
    tally.send("Add", {"amount": 1})
    with pytest.raises(TransactionFailed, match="would not fit in 64 bits"):
        tally.send("Add", {"amount": (1 << 64) - 1})
    with pytest.raises(TransactionFailed, match="expected one number that is not negative"):
        tally.send("Add", {"amount": -1})
    with pytest.raises(TransactionFailed, match="this actor has no such method"):
        tally.send(7)
    assert tally.call("Total") == 1
