"""A call between actors, and its result."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from hypervisor.kernel.blocks import Block
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from store.cid import Cid


@dataclass(init=False, slots=True, unsafe_hash=True)
class Call:
    """A call before its execution. `value` is in attoFIL, `gas_limit` in milligas (None: all remaining gas)."""

    from_: Final[ActorID]
    to: Final[Address]
    method: Final[MethodNumber]
    params: Final[Block | None]
    value: Final[TokenAmount]
    gas_limit: Final[int | None]
    read_only: Final[bool]
    upgraded_from: Final[Cid | None]
    """Previous code of the receiver, if the call enters the `upgrade` function of its new code."""

    def __init__(
        self,
        from_: ActorID,
        to: Address,
        method: MethodNumber,
        params: Block | None = None,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
        upgraded_from: Cid | None = None,
    ) -> None:
        self.from_ = from_
        self.to = to
        self.method = method
        self.params = params
        self.value = value
        self.gas_limit = gas_limit
        self.read_only = read_only
        self.upgraded_from = upgraded_from


@dataclass(frozen=True, slots=True)
class LentCode:
    """Rules for accounts that run a contract's code."""

    selfdestruct_pays: bool
    """True if SELFDESTRUCT pays out the account's balance; it never deletes the account."""
    delegate_calls: bool = True
    """True if DELEGATECALL of an account runs its delegate's code."""
    account_frame: tuple[int, bytes] | None = None
    """Depth of the frame in which a contract runs an account's code, and the account's address; None without one."""


class CallResult(NamedTuple):
    """Result of a call for its caller: exit code, returned block and the callee's message.

    `is_plain` is true if the message adds nothing to the exit code.
    """

    exit_code: int
    block: Block | None = None
    message: str = ""
    is_plain: bool = False
