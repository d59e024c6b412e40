"""Messages between the observer of a call in a session and the guest: calls, accesses, ends, operations."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from runtimes.evm.contracts.engine import CallKind
from runtimes.evm.revm.protocol import EXISTS_BIT

ALL_DEPTHS: Final = (1 << 32) - 1


class CannotObserve(Exception):  # not an error: the call runs elsewhere
    """Raised if the session cannot run a call for its observer."""


class InterceptedCall(NamedTuple):
    """A requested call; a creation if `kind` is None, with the init code in `data`. `gas` is the callee's limit.

    The code of `target` runs as `receiver`: in a delegate call, the caller. `depth` is that of the frame that requests
    it, 1 for the first.
    """

    kind: CallKind | None
    caller: EthAddress
    target: EthAddress
    receiver: EthAddress
    value: int
    data: bytes
    gas: int
    static: bool
    depth: int
    second: bool = False
    """True if the creation is CREATE2."""
    salt: bytes = b""
    """Salt of CREATE2, if known."""
    sender: EthAddress | None = None
    """Sender that the callee of a delegate call sees, instead of `caller`."""

    @property
    def transfer(self) -> int | None:
        """Value that mocks and expectations of calls compare: zero for a static call, None for a delegate call."""
        return None if self.kind is CallKind.DELEGATECALL else self.value


class Access(NamedTuple):
    """An access by an instruction; `account` is the one whose storage its frame uses.

    - A slot: `first` is its number, `second` and `third` are its words before and after.
    - A hash of a key and a slot, `first` and `second`: `third` is the hash.
    - An account: its address, balance and nonce; `fourth` is the amount that SELFDESTRUCT transfers.
    """

    kind: int
    account: EthAddress
    first: int
    second: int
    third: int
    fourth: int
    place: int
    """The opcode of an access to an account, and above its byte the depth of the frame, 0 for the first."""

    @property
    def accessed(self) -> tuple[EthAddress, bool]:
        """Address of the accessed account, and whether it exists."""
        exists, address = divmod(self.first, 1 << EXISTS_BIT)
        return EthAddress(address.to_bytes(20, "big")), bool(exists)


class ObservedEnd(NamedTuple):
    """A call's end: exit code, data, gas before refunds, logs of what succeeded, words of touched slots."""

    exit_code: int
    output: bytes
    gas_used: int
    charged: int
    """Gas after refunds, at least the floor of a transaction (EIP-7623), both without the intrinsic gas."""
    logs: tuple[tuple[EthAddress, Log], ...]
    words: bytes
    """32 bytes for each touched slot, in the order of the first accesses."""
    is_changed: bool
    """True if it was kept at once, and has changed the state."""
    touched: list[EthAddress]
    """Accounts that must exist after the call: those that cheatcodes in the guest have named."""
    is_counted: bool
    """True if the campaign has taken its outcome."""
    holds: bool
    """True if the check has succeeded in the state after the call."""
