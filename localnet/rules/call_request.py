"""A call as somebody asks for it, whatever the rules are."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.addresses import ZERO_ADDRESS, EthAddress
from bridge.transactions import AccessList, Authorization
from hypervisor.types import Gas, TokenAmount


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What is to be called: `to` is None where a contract is to be created. Value in attoFIL.

    Fees (attoFIL per gas), access list and authorizations are looked at where the rules have a meaning for them.
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
