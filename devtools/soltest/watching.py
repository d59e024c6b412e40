"""Waits for a project's sources to change: their times and sizes are looked at, again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Final

from devtools.soltest.project import CONFIG_FILE, Project

BEAT: Final = 0.2
"""Seconds between two looks."""

Seen = Mapping[str, tuple[int, int]]
"""Time in nanoseconds and size, by path from the root."""


def look(project: Project, paths: Sequence[Path] = ()) -> Seen:
    """How the watched files are now: those under the paths, else the project's own folders and its settings."""
    root = project.root
    places = paths or [root / CONFIG_FILE, *(root / name for name in (project.src, project.test, project.script))]
    return dict(_files(places))


def _files(places: Iterable[Path]) -> Iterable[tuple[str, tuple[int, int]]]:
    for place in places:
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            try:
                if file.is_file():
                    found = file.stat()
                    yield str(file), (found.st_mtime_ns, found.st_size)
            except OSError:
                continue  # it went away meanwhile


def changed(before: Seen, now: Seen) -> list[str]:
    """The files that are new, gone or others."""
    return sorted(file for file in before.keys() | now.keys() if before.get(file) != now.get(file))


def wait_for_change(project: Project, before: Seen, paths: Sequence[Path] = ()) -> list[str]:
    """The files that have changed since, as soon as there are any and nothing changes any more."""
    while True:
        now = look(project, paths)
        if now != before:
            sleep(BEAT / 2)
            if look(project, paths) == now:
                return changed(before, now)
        sleep(BEAT)
