"""The numbers that Python and the fast engine's guest know each other by: commands, exits, flags, sizes.

They are written into the guest's sources (`guests/evm/src/tables.rs`) by `make bindings`, and with them the numbers of
its questions and the order of `runtimes.evm.gas_table.GasTable`.
"""

from typing import Final

EXCHANGE: Final = 1 << 16
"""Bytes of the mailbox for longer data on their way in, and rows of words on their way out."""


class GuestCommand:
    """What the guest is entered for (`enter` in guests/evm/src/lib.rs)."""

    MAILBOX: Final = 0
    START: Final = 1
    RESUME: Final = 2
    ADD_RULES: Final = 3
    ADD_CODE: Final = 4
    DROP_CODE: Final = 5
    RESERVE: Final = 6
    DROP_FRAME: Final = 7
    START_TREE: Final = 8
    TELL_TREE: Final = 9
    SEED: Final = 10
    RESUME_TREE: Final = 11
    GO_ON: Final = 12
    HEAT: Final = 13
    HOT_CODE: Final = 14
    ADD_REGION: Final = 15
    REPORT_CODE: Final = 16


class GuestExit:
    """Why a run ended, beside the frame's own ends (`runtimes.evm.engine.Status`)."""

    ASK: Final = 100
    """The frame asks for a call or a creation."""
    RAISED: Final = 101
    """The host has raised something, which it keeps."""
    NO_ROOM: Final = 102
    """There is no room in this instance."""
    OUT_OF_GAS: Final = 103
    """A frame of a tree has no gas left."""
    LEFT: Final = 104
    """A tree has met something that it cannot deal with; nothing has happened."""
    UNTOLD: Final = 105
    """A tree that runs alone needs to know something; the question is in the mailbox."""
    PAUSED: Final = 106
    """The same within an instruction that can run again: nothing else of it has happened."""
    HALTED: Final = 107
    """The first frame of a tree goes on by itself: what its next instruction looks at is nothing for a tree."""


class TreeFlag:
    """Flags that a tree begins with."""

    DELEGATIONS: Final = 1
    P256: Final = 2
    ALONE: Final = 4
    """It asks nobody."""
    BOUNDED_MODEXP: Final = 8
    STATIC: Final = 16
    TOLD: Final = 32
    """The first frame's account comes with it."""
    MAY_WAIT: Final = 64
    """The first frame may be handed back where it asks for what a tree cannot deal with."""
    ASKS: Final = 128
    """It is handed back at each call."""


class AccountFlag:
    """What the guest learns of an account."""

    LEAVE: Final = 1
    """The tree cannot deal with it."""
    EXISTS: Final = 2
    WARM: Final = 4
    CREATED: Final = 8
    HAS_SLOTS: Final = 16
    HAD_SLOTS: Final = 32
    DELEGATES: Final = 64
    UNTOUCHED: Final = 128
    """Its storage is as its root says."""
    ASKED: Final = 256
    """Something answers calls of it in its place."""


class ChangeFlag:
    """What a tree has changed of an account."""

    WARM: Final = 1
    TOUCHED: Final = 2
    CREATED: Final = 4
    DESTROYED: Final = 8
    PAID: Final = 16
    COUNTED: Final = 32
    """Its nonce."""
    CODE: Final = 64
