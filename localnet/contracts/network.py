"""Protocol of the network that contracts and native actors need; `localnet.Network` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # an interface is read by programs that open no network
    from hypervisor.machine.machine import Hypervisor
    from localnet.accounts import Account
    from localnet.addresses import Target
    from localnet.chain.chain import Chain
    from localnet.ledger.records import TransactionReceipt
    from localnet.rules.parts import NetworkRules


class Transactions(Protocol):
    """Ethereum calls and transactions."""

    def call(self, to: Target | None, data: bytes, value: int, /, *, sender: Target | None) -> bytes:
        """Call an address without a transaction and return the output.

        `value` is in attoFIL. Raises CallFailed, AddressError.
        """

    def send(
        self, to: Target | None, value: int, data: bytes, /, *, sender: Target | None, gas_limit: int | None
    ) -> TransactionReceipt:
        """Send and execute a transaction; value in attoFIL. Raises the errors of `Network.send`."""


class Messages(Protocol):
    """Messages to native actors, and their state."""

    @property
    def accounts(self) -> Sequence[Account]:
        """The unlocked accounts."""

    @property
    def chain(self) -> Chain:
        """The chain, which commits direct changes."""

    @property
    def machine(self) -> Hypervisor:
        """Machine at the head's state."""

    @property
    def rules(self) -> NetworkRules:
        """The set of rules."""

    def send_native(
        self,
        to: Target,
        method: int,
        params: bytes,
        /,
        *,
        value: int,
        sender: Target | None,
        gas_limit: int | None,
    ) -> TransactionReceipt:
        """Send and execute a message; value in attoFIL. Raises the errors of `Network.send_native`."""
