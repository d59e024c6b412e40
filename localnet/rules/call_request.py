"""The request of a call and its block overrides, independent of the rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.transactions import AccessList, Authorization
from hypervisor.types import ChainEpoch, Gas, TokenAmount


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call request; `to` is None for a contract creation. Value in attoFIL.

    Fees (attoFIL per gas), access list, authorizations and blobs are used only if the rules support them.
    """

    to: EthAddress | None
    data: bytes = b""
    value: TokenAmount = TokenAmount(0)
    sender: EthAddress = ZERO_ADDRESS
    gas: Gas | None = None
    max_fee: int = 0
    max_priority_fee: int = 0
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_hashes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockOverride:
    """Block fields of a call; None keeps the value. Time in Unix seconds, base fee in attoFIL per gas.

    Gas limit, fee recipient, randomness and blob base fee (attoFIL per blob gas) apply to blocks under Ethereum's rules
    only.
    """

    number: ChainEpoch | None = None
    time: int | None = None
    base_fee: TokenAmount | None = None
    gas_limit: Gas | None = None
    coinbase: EthAddress | None = None
    randomness: bytes | None = None
    blob_base_fee: TokenAmount | None = None

    def over(self, other: BlockOverride) -> BlockOverride:
        """Return these overrides, with the other's for fields that these do not name."""
        return replace(other, **{name: value for name in self.__slots__ if (value := getattr(self, name)) is not None})


SAME_BLOCK: Final = BlockOverride()
