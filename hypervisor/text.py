"""String forms of values: amounts, CIDs and addresses in their usual notation, and composite values on one line.

The machine's scalars are plain numbers and bytes. Its public functions (`Hypervisor.balance`, `Hypervisor.root`,
`Message.cid`) return instances of the classes below: subclasses of `int` and `bytes` that only print differently.
Functions that accept such values convert them to plain ones (`argument_checks.whole_number`, `Message.check`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.printable import printable
from hypervisor.types import ATTO_PER_FIL
from store.cid import CidError, show

if TYPE_CHECKING:
    from hypervisor.types import TokenAmount as _Amount
    from store.cid import Cid as _Cid
else:
    _Amount, _Cid = int, bytes  # the runtime types, since a class cannot inherit from a NewType

WIDTH: Final = 120
"""Maximum length of a `repr`."""
_DECIMALS: Final = len(str(ATTO_PER_FIL)) - 1
_SHOWN_BYTES: Final = 8
_MAX_ADDRESS_LENGTH: Final = 46
"""Maximum length of an address that is not shortened: f410 addresses have 44 characters, f3 addresses 86."""


def show_fil(amount: int) -> str:
    """Format attoFIL in FIL, exactly: `1.5 FIL`, `0.000000000000000001 FIL`, and `0` for zero."""
    if not amount:
        return "0"
    whole, atto = divmod(abs(amount), ATTO_PER_FIL)
    fraction = f"{atto:0{_DECIMALS}}".rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction} FIL"


class PrintedAmount(_Amount):  # type: ignore[misc]  # the base is a NewType for the type checker
    """An amount of attoFIL that prints in FIL: `1.5 FIL`. `int(amount)` and `f"{amount:d}"` give the number.

    Sums and differences of two amounts are amounts; with other numbers they are plain numbers.

    >>> PrintedAmount(1_500_000_000_000_000_000)
    1.5 FIL
    >>> PrintedAmount(3) - PrintedAmount(2)
    0.000000000000000001 FIL
    >>> f"{PrintedAmount(10**18):d}"
    '1000000000000000000'
    """

    __slots__ = ()

    def __str__(self) -> str:
        return show_fil(self) if self else "0 FIL"

    __repr__ = __str__

    def __add__(self, other: int) -> int:
        total = int.__add__(self, other)
        return PrintedAmount(total) if isinstance(other, PrintedAmount) else total

    def __sub__(self, other: int) -> int:
        rest = int.__sub__(self, other)
        return PrintedAmount(rest) if isinstance(other, PrintedAmount) else rest


class PrintedCid(_Cid):  # type: ignore[misc]  # the base is a NewType for the type checker
    r"""The bytes of a CID, printed in text form: `bafy2bzace...`.

    >>> from store.cid import cid_of
    >>> PrintedCid(cid_of(b"\x80"))
    bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a
    """

    __slots__ = ()

    def __str__(self) -> str:
        return cid_text(self)

    __repr__ = __str__


def cid_text(cid: bytes | None) -> str:
    """Format a CID as text, bytes that are not a CID in hexadecimal, and None as `none`."""
    if cid is None:
        return "none"
    try:
        return show(cid)
    except CidError:
        return f"0x{cid.hex()}"


def bytes_text(data: bytes) -> str:
    """Format bytes in a short form: up to 8 bytes completely, else the first 8 and the length."""
    if not data:
        return "empty"
    if len(data) <= _SHOWN_BYTES:
        return f"0x{data.hex()}"
    return f"0x{data[:_SHOWN_BYTES].hex()}... ({len(data):,} bytes)"


def shorten(text: str, limit: int = _MAX_ADDRESS_LENGTH) -> str:
    """Shorten a text to its beginning and end."""
    return text if len(text) <= limit else f"{text[: limit - 9]}...{text[-6:]}"


def one_line(name: str, *parts: str) -> str:
    """Format `Name(part, part)`, truncated to `WIDTH`; empty parts are omitted, unprintable characters escaped."""
    text = printable(", ".join(part for part in parts if part)[: 2 * WIDTH])
    limit = WIDTH - len(name) - 2
    return f"{name}({text if len(text) <= limit else text[: limit - 3] + '...'})"
