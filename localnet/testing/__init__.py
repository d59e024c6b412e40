"""Tests of contracts and actors: expected failures, messages to actors, stateful tests, the pytest plugin (`plugin`).

    def test_only_the_owner_withdraws(network, accounts, deploy):
        wallet = deploy("Wallet.json")
        with reverts("not the owner"):
            wallet.send("withdraw", sender=accounts[1])

Names are loaded on first use, because pytest loads the plugin wherever this package is installed.

Read `plugin`, `messages` and `stateful` first.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localnet.testing.messages import Applied, ExpectedMessage, MessageTester, exits, reverts
    from localnet.testing.stateful import NetworkStateMachine, arguments, calls

_HOMES = {
    "Applied": "messages",
    "ExpectedMessage": "messages",
    "MessageTester": "messages",
    "NetworkStateMachine": "stateful",
    "arguments": "stateful",
    "calls": "stateful",
    "exits": "messages",
    "reverts": "messages",
}

__all__ = [
    "Applied",
    "ExpectedMessage",
    "MessageTester",
    "NetworkStateMachine",
    "arguments",
    "calls",
    "exits",
    "reverts",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'localnet.testing' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"localnet.testing.{home}"), name)
