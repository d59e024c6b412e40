"""Tests of contracts and actors: expected failures, messages to native actors, and the pytest plugin (`plugin`).

    def test_only_the_owner_withdraws(network, accounts, deploy):
        wallet = deploy("Wallet.json")
        with reverts("not the owner"):
            wallet.send("withdraw", sender=accounts[1])

Names are loaded on first use, because pytest loads the plugin wherever this package is installed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localnet.testing.expected import exits, reverts
    from localnet.testing.messages import Applied, ExpectedMessage, MessageTester

__all__ = ["Applied", "ExpectedMessage", "MessageTester", "exits", "reverts"]

_MESSAGES = ("Applied", "ExpectedMessage", "MessageTester")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'localnet.testing' has no attribute '{name}'")
    from localnet.testing import expected, messages

    return getattr(messages if name in _MESSAGES else expected, name)
