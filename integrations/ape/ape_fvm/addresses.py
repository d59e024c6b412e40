"""Conversion of Filecoin addresses that are passed as arguments."""

from __future__ import annotations

import re
from typing import Any, Final

from ape.api import ConverterAPI
from ape.exceptions import ConversionError
from ape.types import AddressType

from bridge.ethereum.addresses import checksummed, from_delegated, masked_id
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address

_FILECOIN: Final = re.compile(r"[ft][0-4][0-9a-z]+")


class FilecoinAddressConverter(ConverterAPI):
    """Convert Filecoin addresses to Ethereum addresses.

    An `f410...` address becomes the address of the contract or account, and an `f0...` address becomes a masked ID
    (`0xff00...`). An `f1...`, `f2...` or `f3...` address is resolved by the active network.
    """

    def is_convertible(self, value: Any) -> bool:
        """Return True for strings with the form of a Filecoin address."""
        return isinstance(value, str) and _FILECOIN.fullmatch(value) is not None

    def convert(self, value: str) -> AddressType:
        """Return the Ethereum address. Raises ConversionError if the address is invalid or cannot be converted."""
        try:
            address = Address.parse(value)
        except AddressError as error:
            raise ConversionError(str(error)) from error
        known = from_delegated(address) or (None if (actor := address.actor_id()) is None else masked_id(actor))
        if known is not None:
            return AddressType(checksummed(known))
        if (provider := self.network_manager.active_provider) is None:
            raise ConversionError(f"resolving {value} needs a network: connect to one, or pass an f410 or f0 address")
        return AddressType(provider.make_request("Filecoin.FilecoinAddressToEthAddress", [value, "latest"]))
