"""Messages between the observer of a call in a session and the guest: calls, accesses, ends, operations."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from runtimes.evm.contracts.engine import CallKind

ALL_DEPTHS: Final = (1 << 32) - 1
_EXISTS: Final = 1 << 160


class Answer(IntEnum):
    """Answers of an observer (`answer` in guests/revm/src/borders.rs).

    Make the call; go on with another result; go on with the result that the call has had.
    """

    ENTER = 16
    RESULT = 17
    PASS = 18


class Operation(IntEnum):
    """Operations on accounts (`operation` in guests/revm/src/borders.rs)."""

    ACCOUNT = 0
    CODE = 1
    SET_BALANCE = 2
    SET_NONCE = 3
    SET_CODE = 4
    LOAD = 5
    STORE = 6
    SET_ORIGIN = 7
    TOUCH = 8
    WATCH = 9
    ACCESSES = 10
    GAS = 11
    RESET_GAS = 12
    ENDED_GAS = 13
    SET_PRICES = 14
    SET_CALLEE = 15
    CREATE = 16
    CREATED = 17
    MAKE_COLD = 18
    BEGIN_ISOLATED = 19
    END_ISOLATED = 20
    WRITE_ALL = 27
    EXCHANGE = 28
    LOAD_OPEN = 29
    EXCHANGES = 30
    COOL = 31
    CREATIONS = 32
    RANDOM = 33
    IS_WARM = 34
    LOOK_UP = 35
    WARMTH = 36
    HOOKED = 37
    CALL = 38
    CALLED = 39


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


class AccessKind(IntEnum):
    """Kinds of accesses (`kind` in guests/revm/src/accesses.rs)."""

    READ = 0
    WRITE = 1
    HASH = 2
    ACCOUNT = 3


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
        exists, address = divmod(self.first, _EXISTS)
        return EthAddress(address.to_bytes(20, "big")), bool(exists)


class Interest(NamedTuple):
    """Depth down to which all calls of frames stop, and the one down to which `call_end` sees ends; 0 for none."""

    calls: int
    ends: int
    at_once: bool
    """True if the whole call is kept or discarded at its end, if nothing stops before."""


class ObservedEnd(NamedTuple):
    """A call's end: exit code, data, gas before refunds, refunds, logs of what succeeded, words of touched slots."""

    exit_code: int
    output: bytes
    gas_used: int
    refund: int
    logs: tuple[tuple[EthAddress, Log], ...]
    words: bytes
    """32 bytes for each touched slot, in the order of the first accesses."""
    is_changed: bool
    """True if it was kept at once, and has changed the state."""
    has_passed: bool
    """True if the check after the call has succeeded."""
    touched: list[EthAddress]
    """Accounts that must exist after the call: those that cheatcodes in the guest have named."""


class SessionCall(NamedTuple):
    """A call of a contract, without value."""

    sender: EthAddress
    to: EthAddress
    data: bytes
    gas: int
