"""The actor on a local network in this process: build it first (`cargo build --release`), then run pytest.

`network` is the fixture of hypervisor's pytest plugin: its state is rolled back after each test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localnet import NativeActor, Network, TransactionFailed

PROJECT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
MODULE = TARGET / "wasm32-unknown-unknown" / "release" / "tip_jar.wasm"
FIL = 10**18


@pytest.fixture
def jar(network: Network) -> NativeActor:
    code = network.actors.install(MODULE, PROJECT / "interface.ipldsch")
    return network.actors.create(code, {"owner": network.accounts[0].native})


def test_a_new_jar_is_empty(jar: NativeActor) -> None:
    assert jar.call("Total") == {"tips": 0, "received": 0}


def test_tips_add_up(network: Network, jar: NativeActor) -> None:
    first = jar.send("Tip", {"note": "thanks"}, value=FIL, sender=network.accounts[1])
    second = jar.send("Tip", {"note": "more"}, value=2 * FIL, sender=network.accounts[2])
    assert (jar.return_value("Tip", first), jar.return_value("Tip", second)) == (1, 2)
    assert jar.call("Total") == {"tips": 2, "received": 3 * FIL}
    assert network.balance(jar.address) == 3 * FIL
    assert jar.state.received == 3 * FIL


def test_a_tip_of_nothing_is_refused(jar: NativeActor) -> None:
    with pytest.raises(TransactionFailed, match="a tip is a message with value"):
        jar.send("Tip", {"note": "nothing"})


def test_only_the_owner_takes_the_money_out(network: Network, jar: NativeActor) -> None:
    jar.send("Tip", {"note": "thanks"}, value=FIL, sender=network.accounts[1])
    with pytest.raises(TransactionFailed, match="only the owner withdraws"):
        jar.send("Withdraw", {"amount": FIL}, sender=network.accounts[1])
    jar.send("Withdraw", {"amount": FIL}, sender=network.accounts[0])
    assert network.balance(jar.address) == 0
    with pytest.raises(TransactionFailed, match="the money cannot be sent"):
        jar.send("Withdraw", {"amount": FIL})
