"""HTML of small views for notebooks (`_repr_html_`): tables, and trees that fold. They need no style sheet or script.

All text passes `hypervisor.printable` and is escaped. What is long is cut, and a line says how to see the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hypervisor.printable import MOST_SHOWN, printable

MOST_LINES: Final = 250
"""Lines of a tree that are shown."""
DEEPEST: Final = 32
"""Lines that are deeper stand one below the other: browsers build no deeper page."""
_UNFOLDED: Final = 60
"""Trees of up to this many lines are unfolded at first; of larger ones the first two levels, and what failed."""
_LEFT: Final = ' style="text-align:left;vertical-align:top"'
_CODE: Final = "font-family:monospace"
_FAILED: Final = "color:#b3261e"


@dataclass(frozen=True, slots=True)
class TreeLine:
    """A line of a tree: how deep it stands, its words, what is said below it, and whether it failed."""

    depth: int
    words: str
    notes: tuple[str, ...] = ()
    failed: bool = False


def safe(text: object, most: int = MOST_SHOWN) -> str:
    """A text as HTML, cut to `most` letters."""
    from html import escape  # at the first view: it loads a table of all the entities of HTML

    return escape(printable(str(text), most))


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]], more: str = "") -> str:
    """A table with a title; `more` is said below it, of what is left out."""
    head = f"<tr>{''.join(f'<th{_LEFT}>{safe(each)}</th>' for each in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td{_LEFT}>{safe(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<div><b>{safe(title)}</b><table>{head}{body}</table>{_rest(more)}</div>"


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Names with their values, a row each; empty values are left out."""
    return table(title, (), [pair for pair in pairs if pair[1] not in ("", None)])


def tree(title: str, lines: Iterable[TreeLine], more: str = "") -> str:
    """Lines that fold, each before those under it. `more` says how to see what is cut."""
    every = list(lines)
    shown = every[:MOST_LINES]
    rest = (
        f"{len(every) - len(shown):,} of {len(every):,} calls are not shown: {more}" if len(every) > len(shown) else ""
    )
    body = "".join(_folded(shown, all_open=len(every) <= _UNFOLDED))
    return f'<div><b>{safe(title)}</b><div style="{_CODE}">{body}</div>{_rest(rest)}</div>'


def _folded(lines: Sequence[TreeLine], *, all_open: bool) -> Iterator[str]:
    open_depths: list[int] = []
    for place, line in enumerate(lines):
        while open_depths and line.depth <= open_depths[-1]:
            open_depths.pop()
            yield "</details>"
        below = lines[place + 1].depth if place + 1 < len(lines) else -1
        if below > line.depth and line.depth < DEEPEST:
            unfolded = " open" if all_open or line.failed or line.depth < 2 else ""
            yield f'<details{unfolded} style="margin-left:1.2em"><summary>{_words(line)}</summary>{_notes(line)}'
            open_depths.append(line.depth)
        else:
            yield f'<div style="margin-left:1.2em">{_words(line)}</div>{_notes(line)}'
    yield "</details>" * len(open_depths)


def _words(line: TreeLine) -> str:
    words = safe(line.words if line.depth <= DEEPEST else f"[{line.depth}] {line.words}")
    return f'<span style="{_FAILED}">{words}</span>' if line.failed else words


def _notes(line: TreeLine) -> str:
    return "".join(f'<div style="margin-left:2.4em;opacity:0.75">{safe(each)}</div>' for each in line.notes)


def _rest(more: str) -> str:
    return f"<p>{safe(more)}</p>" if more else ""
