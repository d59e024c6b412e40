"""Progress bars on standard error, shown on a terminal only and removed at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size


@contextmanager
def bytes_bar(what: str, total: int | None = None) -> Iterator[Callable[[int], None] | None]:
    """Yield a function that reports processed bytes; None if the output is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def running_line() -> Callable[[Sequence[tuple[str, float]]], None] | None:
    """Return a function that displays running tasks as (name, seconds); None if stderr is not a terminal.

    An empty sequence clears the line.
    """
    if not sys.stderr.isatty():
        return None
    shown = ""

    def show(running: Sequence[tuple[str, float]]) -> None:
        nonlocal shown
        text = ""
        if running:
            (name, seconds), *others = running
            text = f"running for {seconds:.0f} s: {name}{f' and {len(others)} more' if others else ''}"
        text = text[: get_terminal_size().columns - 1]
        if text != shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            shown = text

    return show


@contextmanager
def status_line(what: str) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that reports progress of unknown length; None if the output is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda text: status.update(f"{what}: {text}")
