"""HTML views for notebooks (`_repr_html_`): tables and collapsible trees, without style sheets and scripts.

All text is passed through `hypervisor.printable` and escaped. Long views are truncated, with a hint how to see the
rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hypervisor.printable import MAX_SHOWN, printable

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
