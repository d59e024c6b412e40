"""Parsing of addresses in every form, and the Ethereum addresses of actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from bridge.ethereum.addresses import EthAddress, address_of_actor, eth_address, from_delegated, to_filecoin
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address

if TYPE_CHECKING:  # addresses are read by programs that open no machine
    from hypervisor.machine.machine import Hypervisor


class HasAddress(Protocol):
    """An object with an address: an account, a contract, a native actor, a miner."""

    @property
    def address(self) -> EthAddress | Address:
        """The object's address."""


Target = HasAddress | Address | bytes | str
"""Accepted forms of an address: an account, a contract, a Filecoin address, 20 bytes, `0x...` or `f...`."""

UNRESOLVED: Final = EthAddress(b"\xff" + bytes(11) + b"\xff" * 8)
"""Address shown for a sender or a receiver without an actor."""


def filecoin_address(target: Target) -> Address:
    """Return the Filecoin address of a target. Raises AddressError."""
    address = parse_target(target)
    return to_filecoin(address) if isinstance(address, bytes) else address


def parse_target(target: Target) -> EthAddress | Address:
    """Return the address of a target in the form in which it was given. Raises AddressError."""
    match target:
        case Address():
            return target
        case bytes():
            return eth_address(target)
        case str() if target.startswith("0x"):
            return _from_hex(target)
        case str():
            return _from_text(target)
        case _:
            return _of(target)


def ethereum_address(machine: Hypervisor, target: Target) -> EthAddress:
    """Return the Ethereum address of a target. AddressError also for an f1, f2 or f3 address without an actor."""
    target = canonical_address(target)
    if isinstance(target, bytes):
        return target
    actor = machine.state_tree.lookup_id(target)
    if actor is None:
        raise AddressError(f"{target} has no Ethereum address: no actor has this address")
    return address_of_actor(machine.state_tree, actor)


def canonical_address(target: Target) -> EthAddress | Address:
    """Return a target's Ethereum address, or the f0 to f3 address of its actor. Raises AddressError."""
    address = parse_target(target)
    return address if isinstance(address, bytes) else from_delegated(address) or address


def display_address(machine: Hypervisor, address: Address) -> EthAddress:
    """Return the Ethereum address of a message's sender or receiver; UNRESOLVED for one without an actor."""
    try:
        return ethereum_address(machine, address)
    except AddressError:
        return UNRESOLVED  # shown in this form on the network


def _of(target: HasAddress) -> EthAddress | Address:
    address = getattr(target, "address", None)
    if not isinstance(address, Address | bytes):
        raise AddressError(
            f"{target!r:.66} is not an address: expected a string, 20 bytes, or an object with an address"
        )
    return target.address


def _from_text(text: str) -> Address:
    if text[:1] not in ("f", "t"):
        raise AddressError(
            f"'{text[:66]}' is not an address: expected 0x and 40 hex digits, or f0... to f4... (or t...)"
        )
    return Address.parse(text)


def _from_hex(text: str) -> EthAddress:
    try:
        return eth_address(bytes.fromhex(text[2:]))
    except ValueError as error:
        if isinstance(error, AddressError):
            raise
        raise AddressError(f"'{text[:66]}' is not an address: expected 0x and 40 hex digits") from None
