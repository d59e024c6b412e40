"""How values print: amounts, CIDs and Ethereum addresses as people write them, and composite values on one line.

The machine's scalars are plain numbers and bytes, which cost nothing. At its public face (`Hypervisor.balance`,
`Hypervisor.root`, `Message.cid`) they have the classes below: still an `int` and `bytes`, equal to them, but they print
as text. What such a value is handed to makes a plain one of it (`argument_checks.whole_number`, `Message.check`).
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
    _Amount, _Cid = int, bytes  # what these are at run time: nothing can inherit from a NewType

WIDTH: Final = 120
"""Letters that a `repr` takes at most."""
_DECIMALS: Final = len(str(ATTO_PER_FIL)) - 1
_SHOWN_BYTES: Final = 8
_LONGEST: Final = 46
"""Letters of an address that are shown whole: f410 addresses have 44, f3 addresses 86."""


def show_fil(amount: int) -> str:
    """attoFIL in FIL, exactly: `1.5 FIL`, `0.000000000000000001 FIL`, and `0` for nothing."""
    if not amount:
        return "0"
    whole, atto = divmod(abs(amount), ATTO_PER_FIL)
    fraction = f"{atto:0{_DECIMALS}}".rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction} FIL"


class PrintedAmount(_Amount):  # type: ignore[misc]
    """attoFIL that print in FIL: `1.5 FIL`. `int(amount)` and `f"{amount:d}"` are the number.

    Sums and differences of two such amounts are amounts again; with other numbers they are numbers.

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


class PrintedCid(_Cid):  # type: ignore[misc]
    """The bytes of a CID, which print as its text: `bafy2bzace...`.

    >>> from store.cid import cid_of
    >>> PrintedCid(cid_of(b"\\x80"))
    bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a
    """

    __slots__ = ()

    def __str__(self) -> str:
        return cid_text(self)

    __repr__ = __str__


def cid_text(cid: bytes | None) -> str:
    """A CID's text; hex digits of what is not one, and `none`."""
    if cid is None:
        return "none"
    try:
        return show(cid)
    except CidError:
        return f"0x{cid.hex()}"


def bytes_text(data: bytes) -> str:
    """Bytes in few letters: all of up to 8, else the first ones and how many there are."""
    if not data:
        return "empty"
    if len(data) <= _SHOWN_BYTES:
        return f"0x{data.hex()}"
    return f"0x{data[:_SHOWN_BYTES].hex()}... ({len(data):,} bytes)"


def cut(text: str, most: int = _LONGEST) -> str:
    """The text, or its beginning and its end."""
    return text if len(text) <= most else f"{text[: most - 9]}...{text[-6:]}"


def one_line(name: str, *parts: str) -> str:
    """`Name(part, part)`, cut to `WIDTH`; empty parts are left out, and what is not printable is escaped."""
    text = printable(", ".join(part for part in parts if part)[: 2 * WIDTH])
    most = WIDTH - len(name) - 2
    return f"{name}({text if len(text) <= most else text[: most - 3] + '...'})"
