"""The first state of a local network, and what its folder remembers of it.

Singletons and reserves are the machine's genesis (`hypervisor.genesis`); here come the accounts: each key's f1 and
f410 addresses with funds, and the Ethereum account of the zero address, which the network has since FIP-0055.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.addresses import ZERO_ADDRESS, to_filecoin
from hypervisor.address import Address
from hypervisor.errors import InvalidInput
from hypervisor.genesis import Genesis
from hypervisor.types import ATTO_PER_FIL, TokenAmount
from localnet.accounts import Account
from store.codec import CodecError, decode_strict, encode

NETWORK_NAME: Final = "localnet"
DEFAULT_BALANCE: Final = TokenAmount(10_000 * ATTO_PER_FIL)
LARGEST_BALANCE: Final = TokenAmount((1 << 127) - 1)
"""Actors handle amounts in 128 bits with a sign."""

_FORMAT: Final = 1


def network_genesis(accounts: Sequence[Account], balance: TokenAmount, name: str = NETWORK_NAME) -> Genesis:
    """The genesis with `balance` attoFIL under each of the accounts' addresses. Native addresses get the lower IDs.

    Raises InvalidInput for an amount that accounts cannot have.
    """
    if not 0 <= 2 * len(accounts) * balance <= LARGEST_BALANCE:
        raise InvalidInput(f"{len(accounts)} accounts cannot have {balance} attoFIL each under two addresses")
    funds: dict[Address, TokenAmount] = {account.native: balance for account in accounts}
    funds.update((account.delegated, balance) for account in accounts)
    funds.setdefault(to_filecoin(ZERO_ADDRESS), TokenAmount(0))
    return Genesis(network_name=name, accounts=funds)


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """What holds for the whole life of a network and the machine does not record: name, circulating supply in attoFIL.

    The supply is a constant: the accounts' funds, as if they were vested.
    """

    name: str
    circulating_supply: TokenAmount = TokenAmount(0)

    def encode(self) -> bytes:
        """The record as the folder keeps it."""
        supply = self.circulating_supply.to_bytes(16, "big")
        return encode([_FORMAT, self.name, supply])

    @classmethod
    def decode(cls, data: bytes) -> NetworkRecord:
        """The inverse of `encode`; InvalidInput for another program's or version's record."""
        try:
            version, name, supply = decode_strict(data)
            if version != _FORMAT:
                raise InvalidInput(f"the folder's network has record format {version}, this program reads {_FORMAT}")
            return cls(name, TokenAmount(int.from_bytes(supply, "big")))
        except (CodecError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"the folder's record of its network cannot be read: {error}") from None
