"""Protocol of the network that a storage miner needs; `localnet.Network` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.actors.binding import Call, R
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import ChainEpoch
from localnet.accounts import Account
from localnet.addresses import Target
from localnet.chain.chain import Chain
from localnet.ledger.records import Tipset, TransactionReceipt


class MinerNetwork(Protocol):
    """Messages to built-in actors, and mining of blocks."""

    @property
    def accounts(self) -> Sequence[Account]:
        """The unlocked accounts."""

    @property
    def chain(self) -> Chain:
        """The chain, which commits direct changes."""

    @property
    def version(self) -> int:
        """The network version."""

    @property
    def machine(self) -> Hypervisor:
        """Machine at the head's state."""

    @property
    def block_number(self) -> ChainEpoch:
        """Height of the head."""

    def mine(self, blocks: int = 1, *, null_rounds: int = 0) -> Tipset:
        """Mine blocks, each after N null rounds; return the new head."""

    def send_native(self, to: Target, /, *, sender: Target | None) -> TransactionReceipt:
        """Send and execute a message without value. Raises the errors of `Network.send_native`."""

    def invoke(self, to: Target, call: Call[R], *, value: int = 0, sender: Account | None = None) -> R:
        """Send a message and return the method's result; value in attoFIL. Raises the errors of `Network.invoke`."""

    def ask(self, to: Target, call: Call[R], *, sender: Account | None = None) -> R:
        """Return a method's result without effect. Raises CallFailed, ValueError."""

    def close(self) -> None:
        """Close the folder."""
