"""Contract interfaces by name, stored with the chain, so that a restarted node still has the registered names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput
from localnet.contracts.argument_texts import readable_interface
from store.blockstore import Store
from store.codec import CodecError, decode, encode


@dataclass(frozen=True, slots=True)
class NamedInterface:
    """A contract's interface, name, and address (`0x` and hex) if it is for one contract."""

    name: str
    interface: ContractInterface
    address: str | None = None


_PREFIX: Final = b"contract interface/"
"""Prefix of metadata entries with name, address and ABI; the key is the address, or the name without an address."""

MAX_INTERFACES: Final = 1_000
"""Maximum number of contract interfaces, in memory and in the folder."""

Key = EthAddress | str


class StoredInterfaces:
    """The interfaces known to a chain: those stored in its folder, and new ones, which are added to it.

    `known` maps the address of a contract, or the name of an interface without an address, to the interface.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known = _load(store)

    def add(self, key: Key, named: NamedInterface) -> bool:
        """Add or replace an interface; return False if the maximum number is reached."""
        before = self.known.get(key)
        if before is None and len(self.known) >= MAX_INTERFACES:
            return False
        if before is None or (before.name, before.interface.abi) != (named.name, named.interface.abi):
            entries = [dict(entry) for entry in named.interface.abi]
            self._store.commit((), {_store_key(key): encode([named.name, named.address, entries])})
            self.known[key] = named
        return True


def _load(store: Store) -> dict[Key, NamedInterface]:
    """Return the stored interfaces by address or name, in that order; unreadable ones are left out."""
    found: dict[Key, NamedInterface] = {}
    for key, data in store.all_metadata().items():
        if key.startswith(_PREFIX):
            try:
                name, address, entries = decode(data)
                named = NamedInterface(str(name), readable_interface(entries), address)
                found[str(name) if address is None else EthAddress(bytes.fromhex(address[2:]))] = named
            except (AbiMismatch, AttributeError, CodecError, InvalidInput, TypeError, ValueError):
                continue
    return found


def _store_key(key: Key) -> bytes:
    return _PREFIX + (key.encode() if isinstance(key, str) else key.hex().encode())
