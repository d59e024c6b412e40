"""Runs many independent cases over worker processes, in order, with a bar on a terminal.

Workers start fresh (`spawn`): each opens its own stores and takes compiled modules from the disk cache.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_all(work: Callable[[T], R], items: Sequence[T], workers: int, what: str) -> Iterator[R]:
    """`work` on each item, results in the items' order. `work` and items must be picklable where `workers` > 1."""
    if workers <= 1 or len(items) <= 1:
        yield from _progress(map(work, items), len(items), what)
        return
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
        yield from _progress(pool.map(work, items, chunksize=_chunk(len(items), workers)), len(items), what)


def _chunk(count: int, workers: int) -> int:
    """Small, since files differ a thousandfold in size and the large ones may stand side by side."""
    return max(1, min(16, count // (workers * 32)))


def _progress(results: Iterator[R], total: int, what: str) -> Iterator[R]:
    """The same results; where standard error is a terminal, with a bar on it."""
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, description=what, total=total, console=console, transient=True)
