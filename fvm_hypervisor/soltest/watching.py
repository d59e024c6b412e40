"""Polling for changes of a project's sources, by modification time and size."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Final

from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project_files import CONFIG_FILE

INTERVAL: Final = 0.2
"""Seconds between two polls."""
_SETTINGS: Final = (CONFIG_FILE, "remappings.txt")

FileStates = Mapping[str, tuple[int, int]]
"""Modification time in nanoseconds and size, by path."""


def file_states(project: Project, paths: Sequence[Path] = ()) -> FileStates:
    """Return the state of the watched files: those under `paths`, otherwise the project's own folders and settings.

    In folders only sources and settings are watched, so that files written by a run do not count as changes.
    """
    root = project.root
    own = [*(root / name for name in _SETTINGS), *(root / name for name in (project.src, project.test, project.script))]
    return dict(_states(paths or own, {root / project.out, root / project.cache}))


def _states(places: Iterable[Path], left_out: Collection[Path]) -> Iterable[tuple[str, tuple[int, int]]]:
    for path in places:
        for file in _inside(path, left_out) if path.is_dir() else [path]:
            try:
                if file.is_file():
                    found = file.stat()
                    yield str(file), (found.st_mtime_ns, found.st_size)
            except OSError:
                continue  # deleted meanwhile


def _inside(path: Path, left_out: Collection[Path]) -> Iterable[Path]:
    """Yield sources and settings under a folder, except hidden folders and those in `left_out`."""
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name not in left_out)
        yield from (here / name for name in sorted(names) if name.endswith(".sol") or name in _SETTINGS)


def changed_files(before: FileStates, now: FileStates) -> list[str]:
    """Return the files that were added, deleted or modified."""
    return sorted(file for file in before.keys() | now.keys() if before.get(file) != now.get(file))


def wait_for_change(project: Project, before: FileStates, paths: Sequence[Path] = ()) -> list[str]:
    """Wait until files change and the changes settle; return the changed files."""
    while True:
        now = file_states(project, paths)
        if now != before:
            sleep(INTERVAL / 2)
            if file_states(project, paths) == now:
                return changed_files(before, now)
        sleep(INTERVAL)
