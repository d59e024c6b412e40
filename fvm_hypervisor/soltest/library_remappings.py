"""Detection of library remappings that a project does not configure, from the location of Solidity files.

Rules: forge's. A library is a folder of the libraries' folder, or one below a `lib` or `node_modules` inside of it.
Imports begin with its name and map to its source folder (`src` or `contracts`) if it has one, otherwise to the folder
that contains all of its sources. Of libraries with the same name, the one with the shorter path takes precedence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

_SOURCE_FOLDERS: Final = ("src", "contracts")
LIBRARY_FOLDERS: Final = ("lib", "node_modules")
_NOT_SEARCHED: Final = ("test", "tests", "demo")


@dataclass(slots=True)
class _Library:
    """A candidate: the folder that names the library, its source folder, and the number of `lib` folders above it."""

    start: str
    sources: str
    level: int


def find_libraries(folder: str) -> dict[str, str]:
    """Return the import prefixes of the libraries in a folder and the folders that they map to.

    Prefixes and folders end with a slash.
    """
    found: list[_Library] = []
    seen: set[str] = set()
    is_npm = os.path.basename(folder) == "node_modules"
    for entry in _entries(folder):
        if entry.is_dir():
            found += _search(entry.path, entry.path, 0, is_npm, seen)
    targets: dict[str, str] = {}
    for library in sorted(found, key=lambda library: library.sources.split("/")):
        name, new = os.path.basename(library.start), library.sources
        old = targets.get(name)
        is_shorter = old is not None and old.count("/") > new.count("/")
        if old is None or is_shorter or (_name(new) == "src" and _name(old) != "src"):
            targets[name] = new
    return {f"{name}/": f"{target}/" for name, target in targets.items()}


def _search(current: str, opened: str, level: int, is_npm: bool, seen: set[str]) -> list[_Library]:
    """Return the libraries in a folder; `opened` is the library, or the folder of libraries, that contains it."""
    has_sources, folders = False, []
    for entry in _entries(current):
        if not entry.is_dir():
            has_sources = has_sources or (entry.name.endswith(".sol") and entry.is_file())
            continue
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if target in seen or opened.startswith(f"{target}/"):
                return []  # a link to a parent folder, which is already being searched
            seen.add(target)
        if entry.name not in _NOT_SEARCHED:
            folders.append(entry.path)
    found: list[_Library] = []
    for folder in folders:
        is_barrier = _name(folder) in LIBRARY_FOLDERS
        found += _search(folder, folder if is_barrier else opened, level + is_barrier, is_npm, seen)
    start = opened
    if _name(opened) in LIBRARY_FOLDERS and opened != current:
        start = f"{opened}/{current[len(opened) + 1 :].split('/')[0]}"
    same = [library for library in found if library.level == level]
    if has_sources or sum(library.start == start for library in same) > 1:
        return _merge(found, current, start, level, is_npm)
    if same:
        _move_up(same[0], start, opened)
    return found


def _merge(found: list[_Library], current: str, start: str, level: int, is_npm: bool) -> list[_Library]:
    """Return one library for all that were found at a level; the only one with a `src` folder takes precedence."""
    with_src = [library for library in found if _name(library.sources) == "src"]
    if len(with_src) == 1:
        return with_src
    others = [library for library in found if library.level != level]
    sources = start if is_npm else current
    if level and sources == start and _name(sources) in (*_SOURCE_FOLDERS, *LIBRARY_FOLDERS):
        return others
    return [*others, _Library(start, sources, level)]


def _move_up(library: _Library, start: str, opened: str) -> None:
    """Adjust the only library in a folder to start at its source folder, or at its own folder."""
    below = library.sources[len(library.start) + 1 :].split("/") if library.sources != library.start else []
    if len(below) > 1 and (below[-1] == "contracts" or below[-2:] == ["contracts", "src"]):
        library.sources = start
    elif below and below[-1] not in _SOURCE_FOLDERS:
        folder = os.path.dirname(library.sources)
        while folder.startswith(f"{opened}/") and _name(folder) not in _SOURCE_FOLDERS:
            folder = os.path.dirname(folder)
        library.sources = folder if folder.startswith(f"{opened}/") else opened


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return a folder's entries by name, without hidden ones; empty if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []
