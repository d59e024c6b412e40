"""Conversion between Ethereum addresses and f410 addresses.

Unlike in `bridge.ethereum.addresses`, a masked ID is an address like any other.
"""

from functools import lru_cache
from typing import Final

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from hypervisor.messages.address import Address, Protocol
from hypervisor.types import EAM_NAMESPACE

_F410_PAYLOAD: Final = 1 + ETH_ADDRESS_LENGTH


def ethereum_address(address: Address) -> EthAddress | None:
    """Return the Ethereum address of an f410 address, or None for any other address."""
    payload = address.payload
    if address.protocol is Protocol.DELEGATED and len(payload) == _F410_PAYLOAD and payload[0] == EAM_NAMESPACE:
        return EthAddress(payload[1:])
    return None


@lru_cache(4096)
def delegated_address(address: EthAddress) -> Address:
    """Return the f410 address of an Ethereum address."""
    return Address.delegated(EAM_NAMESPACE, address)
