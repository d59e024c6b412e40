"""One call between actors, as it is asked for and as it ends."""

from dataclasses import dataclass
from typing import NamedTuple

from hypervisor.address import Address
from hypervisor.blocks import Block
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from store.cid import Cid


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was asked for. `value` in attoFIL, `gas_limit` in milligas (None: all that is left)."""

    from_: ActorID
    to: Address
    method: MethodNumber
    params: Block | None = None
    value: TokenAmount = TokenAmount(0)
    gas_limit: int | None = None
    read_only: bool = False
    upgraded_from: Cid | None = None
    """The code that the receiver had, where the call enters the `upgrade` of the code that it has now."""


@dataclass(frozen=True, slots=True)
class LentCode:
    """That accounts run contracts' code in their own names.

    `selfdestruct_pays` if SELFDESTRUCT there pays the account's balance out; it never ends the account.
    """

    selfdestruct_pays: bool


class CallResult(NamedTuple):
    """How a call ended for its caller: exit code, returned block, the callee's own words.

    `is_plain` if these say no more than the exit code.
    """

    exit_code: int
    block: Block | None = None
    message: str = ""
    is_plain: bool = False
