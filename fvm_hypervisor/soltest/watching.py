"""Waits for a project's sources to change: their times and sizes are looked at, again and again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Final

from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.project_files import CONFIG_FILE

BEAT: Final = 0.2
"""Seconds between two looks."""
_SETTINGS: Final = (CONFIG_FILE, "remappings.txt")

Seen = Mapping[str, tuple[int, int]]
"""Time in nanoseconds and size, by path from the root."""


def look(project: Project, paths: Sequence[Path] = ()) -> Seen:
    """How the watched files are now: those under the paths, else the project's own folders and its settings.

    Of folders only sources and settings are watched: what a run writes is no change.
    """
    root = project.root
    own = [*(root / name for name in _SETTINGS), *(root / name for name in (project.src, project.test, project.script))]
    return dict(_states(paths or own, {root / project.out, root / project.cache}))


def _states(places: Iterable[Path], left_out: Collection[Path]) -> Iterable[tuple[str, tuple[int, int]]]:
    for place in places:
        for file in _inside(place, left_out) if place.is_dir() else [place]:
            try:
                if file.is_file():
                    found = file.stat()
                    yield str(file), (found.st_mtime_ns, found.st_size)
            except OSError:
                continue  # it went away meanwhile


def _inside(place: Path, left_out: Collection[Path]) -> Iterable[Path]:
    """Sources and settings under a folder, but for hidden folders and those that are left out."""
    for folder, folders, names in os.walk(place):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in left_out)
        yield from (here / name for name in sorted(names) if name.endswith(".sol") or name in _SETTINGS)


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
