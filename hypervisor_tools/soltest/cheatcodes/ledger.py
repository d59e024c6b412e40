"""Accounts for cheatcodes: by Ethereum address, within a message.

Under Ethereum's rules the ledger is the call in the session (`runtimes.evm.revm.ObservedCall`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from bridge.ethereum.addresses import EthAddress, checksummed, to_filecoin
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import ActorID, TokenAmount
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from localnet.state.controls import code_of, contract_state, nonce_of, set_balance, set_code, set_nonce, set_storage
from runtimes.evm import filecoin_evm_rules
from store.trees.kamt import Kamt

MAX_NONCE: Final = (1 << 64) - 1


class Ledger(Protocol):
    """The accounts of a message."""

    def touch(self, address: EthAddress) -> object:
        """Create an account if there is none."""

    def balance(self, address: EthAddress) -> int:
        """Return the balance in attoFIL."""

    def set_balance(self, address: EthAddress, amount: int) -> None:
        """Set the balance in attoFIL."""

    def nonce(self, address: EthAddress) -> int:
        """Return Ethereum's nonce."""

    def set_nonce(self, address: EthAddress, nonce: int) -> None:
        """Set Ethereum's nonce."""

    def code(self, address: EthAddress) -> bytes:
        """Return the runtime code."""

    def set_code(self, address: EthAddress, code: bytes) -> None:
        """Set the runtime code."""

    def load(self, address: EthAddress, slot: int) -> int:
        """Return the word of a slot."""

    def store(self, address: EthAddress, slot: int, word: int) -> None:
        """Write a slot."""

    def slots(self, address: EthAddress) -> list[int]:
        """Return the slots that are not zero."""


class FilecoinLedger:
    """Actors of the network, changed by the same functions as on a development network."""

    def __init__(self, machine: Hypervisor) -> None:
        self._machine = machine

    def find(self, address: EthAddress) -> ActorID | None:
        """Return the actor of an address, or None."""
        tree = self._machine.state_tree
        actor = tree.lookup_id(to_filecoin(address))
        return None if actor is None or tree.get_actor(actor) is None else actor

    def touch(self, address: EthAddress) -> ActorID:
        """Return the actor of an address, created if there is none."""
        actor = self.find(address)
        if actor is None:
            self._change(lambda: set_balance(self._machine, to_filecoin(address), TokenAmount(0)))
            actor = self.find(address)
        assert actor is not None
        return actor

    def balance(self, address: EthAddress) -> int:
        """Return the balance in attoFIL."""
        return self._machine.balance(to_filecoin(address))

    def set_balance(self, address: EthAddress, amount: int) -> None:
        """Set the balance in attoFIL."""
        self._change(lambda: set_balance(self._machine, to_filecoin(address), TokenAmount(amount)))

    def nonce(self, address: EthAddress) -> int:
        """Return Ethereum's nonce."""
        return nonce_of(self._machine, to_filecoin(address))

    def set_nonce(self, address: EthAddress, nonce: int) -> None:
        """Set Ethereum's nonce."""
        self._change(lambda: set_nonce(self._machine, to_filecoin(address), nonce))

    def code(self, address: EthAddress) -> bytes:
        """Return the runtime code."""
        return code_of(self._machine, to_filecoin(address))

    def set_code(self, address: EthAddress, code: bytes) -> None:
        """Set the runtime code. Raises CheatcodeFailure for a precompile, which calls always reach."""
        context = self._machine.context
        own = context.precompiles is not None and address in context.precompiles.by_address
        if own or filecoin_evm_rules(context.network).is_reserved(address):
            raise CheatcodeFailure(
                f"{checksummed(address)} is a precompile, whose code cannot be replaced under Filecoin's rules"
            )
        self._change(lambda: set_code(self._machine, to_filecoin(address), code))

    def load(self, address: EthAddress, slot: int) -> int:
        """Return the word of a slot."""
        storage = self._storage(address)
        return 0 if storage is None else storage.get(slot)

    def store(self, address: EthAddress, slot: int, word: int) -> None:
        """Write a slot."""
        actor = self._machine.actor(to_filecoin(address))
        if actor is None or contract_state(self._machine, actor) is None:
            self.set_code(address, b"")
        self._change(lambda: set_storage(self._machine, to_filecoin(address), {slot: word}))

    def slots(self, address: EthAddress) -> list[int]:
        """Return the slots that are not zero."""
        storage = self._storage(address)
        return [] if storage is None else [slot for slot, _ in storage.items()]

    def _storage(self, address: EthAddress) -> Kamt | None:
        actor = self._machine.actor(to_filecoin(address))
        state = None if actor is None else contract_state(self._machine, actor)
        return None if state is None or state.storage is None else Kamt(self._machine.store, state.storage)

    def _change(self, change: Callable[[], None]) -> None:
        try:
            change()
        except (AddressError, InvalidInput) as error:
            raise CheatcodeFailure(str(error)) from None
