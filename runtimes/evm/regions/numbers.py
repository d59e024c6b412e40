"""Constants shared by Python and the fast engine's guest: commands, exits, sizes.

`make bindings` writes them, and the numbers of host calls, to the guest's sources (`guests/frames/src/tables.rs`).
"""

from typing import Final

EXCHANGE: Final = 1 << 16
"""Size in bytes of the mailbox's buffer, for longer input data and for output words."""


class GuestCommand:
    """Commands to the guest (`enter` in guests/frames/src/lib.rs)."""

    MAILBOX: Final = 0
    START: Final = 1
    RESUME: Final = 2
    ADD_RULES: Final = 3
    ADD_CODE: Final = 4
    DROP_CODE: Final = 5
    RESERVE: Final = 6
    DROP_FRAME: Final = 7
    HEAT: Final = 8
    HOT_CODE: Final = 9
    ADD_REGION: Final = 10
    REPORT_CODE: Final = 11


class GuestExit:
    """Exits of a run, in addition to a frame's statuses (`runtimes.evm.contracts.engine.Status`)."""

    ASK: Final = 100
    """The frame makes a call or a creation."""
    RAISED: Final = 101
    """The host raised an error, which it has stored."""
    NO_ROOM: Final = 102
    """The instance is out of memory."""
