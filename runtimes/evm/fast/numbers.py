"""Constants shared by Python and the fast engine's guest: commands, exits, flags, sizes.

`make bindings` writes them to the guest's sources (`guests/evm/src/tables.rs`), together with the numbers of host calls
and the field order of `runtimes.evm.gas_table.GasTable`.
"""

from typing import Final

EXCHANGE: Final = 1 << 16
"""Size in bytes of the mailbox's buffer, for longer input data and for output words."""


class GuestCommand:
    """Commands to the guest (`enter` in guests/evm/src/lib.rs)."""

    MAILBOX: Final = 0
    START: Final = 1
    RESUME: Final = 2
    ADD_RULES: Final = 3
    ADD_CODE: Final = 4
    DROP_CODE: Final = 5
    RESERVE: Final = 6
    DROP_FRAME: Final = 7
    START_TREE: Final = 8
    SEED: Final = 10
    RESUME_TREE: Final = 11
    GO_ON: Final = 12
    HEAT: Final = 13
    HOT_CODE: Final = 14
    ADD_REGION: Final = 15
    REPORT_CODE: Final = 16


class GuestExit:
    """Exits of a run, in addition to a frame's statuses (`runtimes.evm.engine.Status`)."""

    ASK: Final = 100
    """The frame makes a call or a creation."""
    RAISED: Final = 101
    """The host raised an error, which it has stored."""
    NO_ROOM: Final = 102
    """The instance is out of memory."""
    OUT_OF_GAS: Final = 103
    """A frame of a tree has run out of gas."""
    LEFT: Final = 104
    """A tree reached an operation that it does not support; nothing has changed."""
    HALTED: Final = 107
    """The first frame of a tree continues on its own: its next instruction is not supported in a tree."""


class TreeFlag:
    """Flags of a tree at its start."""

    DELEGATIONS: Final = 1
    P256: Final = 2
    BOUNDED_MODEXP: Final = 8
    STATIC: Final = 16
    TOLD: Final = 32
    """The first frame's account is part of the start command."""
    MAY_WAIT: Final = 64
    """The first frame may return to the host at an operation that a tree does not support."""
    ASKS: Final = 128
    """The first frame returns to the host at each call."""
    REPRICED_MODEXP: Final = 256
    CLEARS_EMPTY: Final = 512
    KEEPS_64TH: Final = 1024
    PAYS_FOR_CREATION: Final = 2048
    RESERVES_0XEF: Final = 4096
    DESTROYS_NEW_ONLY: Final = 8192
    TRANSFER_LOGS: Final = 16_384
    BURNS_BALANCE: Final = 32_768


class AccountFlag:
    """Flags of an account as reported to the guest."""

    LEAVE: Final = 1
    """The tree cannot handle this account."""
    EXISTS: Final = 2
    WARM: Final = 4
    CREATED: Final = 8
    HAS_SLOTS: Final = 16
    HAD_SLOTS: Final = 32
    DELEGATES: Final = 64
    UNTOUCHED: Final = 128
    """The account's storage equals the storage at its root."""
    ASKED: Final = 256
    """Calls of this account are handled by an interceptor."""
    DESTROYED: Final = 512
    """The account will be removed at the end of the message."""


class ChangeFlag:
    """Kinds of changes that a tree made to an account."""

    WARM: Final = 1
    TOUCHED: Final = 2
    CREATED: Final = 4
    DESTROYED: Final = 8
    PAID: Final = 16
    COUNTED: Final = 32
    """The nonce changed."""
    CODE: Final = 64
