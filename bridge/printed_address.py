"""An Ethereum address that prints with its checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, checksummed

if TYPE_CHECKING:
    from bridge.ethereum.addresses import EthAddress as _Bytes
else:
    _Bytes = bytes  # the runtime type, since a class cannot inherit from a NewType


class PrintedAddress(_Bytes):  # type: ignore[misc]  # the base is a NewType for the type checker
    """The 20 bytes of an Ethereum address, printed with a checksum (EIP-55).

    >>> PrintedAddress(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
    0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """

    __slots__ = ()

    def __str__(self) -> str:
        return checksummed(self) if len(self) == ETH_ADDRESS_LENGTH else f"0x{self.hex()}"

    __repr__ = __str__
