"""Values as text and HTML: sanitizing, notations of amounts and CIDs, and views for notebooks.

Contract data (revert reasons, event keys, names in an ABI) may contain terminal control codes, bidirectional overrides,
fake output lines or incomplete characters. Unprintable characters are escaped and long texts truncated. Escaping of
markup (HTML, rich) is left to the caller.

The machine's scalars are plain numbers and bytes. Its public functions (`Hypervisor.balance`, `Hypervisor.root`,
`Message.cid`) return instances of the classes below: subclasses of `int` and `bytes` that only print differently, in
the usual notation; composite values print on one line. Functions that accept such values convert them to plain ones
(`hypervisor.types.whole_number`, `Message.check`).

HTML views for notebooks (`_repr_html_`) are tables and collapsible trees, without style sheets and scripts. All their
text is sanitized and escaped. Long views are truncated, with a hint how to see the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.types import ATTO_PER_FIL
from store.cid import CidError, show

MAX_SHOWN: Final = 300


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Return the text on one line without unprintable characters, truncated to `limit` characters."""
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escape(char) for char in shown)
    return shown if len(text) <= limit else f"{shown}... ({len(text):,} characters)"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


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


MAX_LINES: Final = 250
"""Maximum number of tree lines shown."""
MAX_DEPTH: Final = 32
"""Maximum nesting depth, a limit of browsers; deeper lines are not nested further."""
_UNFOLDED: Final = 60
"""Maximum number of lines of a tree that is fully expanded; larger ones expand two levels and failures."""
_LEFT: Final = ' style="text-align:left;vertical-align:top"'
_CODE: Final = "font-family:monospace"
_FAILED: Final = "color:#b3261e"


@dataclass(frozen=True, slots=True)
class TreeLine:
    """A line of a tree: its depth, text, notes below it, and whether it is a failure."""

    depth: int
    words: str
    notes: tuple[str, ...] = ()
    failed: bool = False


def safe(text: object, limit: int = MAX_SHOWN) -> str:
    """Return a text as HTML, truncated to `limit` characters."""
    from html import escape  # imported on first use, since it loads a table of all HTML entities

    return escape(printable(str(text), limit))


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]], more: str = "") -> str:
    """Return a table with a title; `more` is a note below it about omitted rows."""
    head = f"<tr>{''.join(f'<th{_LEFT}>{safe(each)}</th>' for each in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{safe(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<div><b>{safe(title)}</b><table>{head}{body}</table>{_more_text(more)}</div>"


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values; empty values are omitted."""
    return table(title, (), [pair for pair in pairs if pair[1] not in ("", None)])


def tree(title: str, lines: Iterable[TreeLine], more: str = "") -> str:
    """Return a collapsible tree; parents come before their children. `more` is a hint how to see omitted lines."""
    every = list(lines)
    shown = every[:MAX_LINES]
    rest = (
        f"{len(every) - len(shown):,} of {len(every):,} calls are not shown: {more}" if len(every) > len(shown) else ""
    )
    body = "".join(_fold(shown, all_open=len(every) <= _UNFOLDED))
    return f'<div><b>{safe(title)}</b><div style="{_CODE}">{body}</div>{_more_text(rest)}</div>'


def _fold(lines: Sequence[TreeLine], *, all_open: bool) -> Iterator[str]:
    open_depths: list[int] = []
    for index, line in enumerate(lines):
        while open_depths and line.depth <= open_depths[-1]:
            open_depths.pop()
            yield "</details>"
        below = lines[index + 1].depth if index + 1 < len(lines) else -1
        if below > line.depth and line.depth < MAX_DEPTH:
            unfolded = " open" if all_open or line.failed or line.depth < 2 else ""
            yield f'<details{unfolded} style="margin-left:1.2em"><summary>{_line_text(line)}</summary>{_notes(line)}'
            open_depths.append(line.depth)
        else:
            yield f'<div style="margin-left:1.2em">{_line_text(line)}</div>{_notes(line)}'
    yield "</details>" * len(open_depths)


def _line_text(line: TreeLine) -> str:
    words = safe(line.words if line.depth <= MAX_DEPTH else f"[{line.depth}] {line.words}")
    return f'<span style="{_FAILED}">{words}</span>' if line.failed else words


def _notes(line: TreeLine) -> str:
    return "".join(f'<div style="margin-left:2.4em;opacity:0.75">{safe(each)}</div>' for each in line.notes)


def _more_text(more: str) -> str:
    return f"<p>{safe(more)}</p>" if more else ""
