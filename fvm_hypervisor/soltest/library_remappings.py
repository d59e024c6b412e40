"""Remappings of libraries that a project does not configure: found by where their Solidity files lie.

Rules: forge's. A library is a folder of the libraries' folder, or one below a `lib` or `node_modules` inside of it. Its
imports begin with its name, and lead to its folder of sources (`src` or `contracts`) where it has one, else to the
folder that holds all of its sources. Of libraries with the same name, the one with the shorter path counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

_SOURCE_FOLDERS: Final = ("src", "contracts")
_LIBRARY_FOLDERS: Final = ("lib", "node_modules")
_NOT_SEARCHED: Final = ("test", "tests", "demo")


@dataclass(slots=True)
class _Library:
    """A folder that gives its name, the folder of its sources, and the number of libraries' folders above it."""

    start: str
    sources: str
    level: int


def find_libraries(folder: str) -> dict[str, str]:
    """Return prefixes of imports with the folders that they lead to, for the libraries in a folder.

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
    """Return the libraries in a folder, which lies in the library or the libraries' folder `opened`."""
    has_sources, folders = False, []
    for entry in _entries(current):
        if not entry.is_dir():
            has_sources = has_sources or (entry.name.endswith(".sol") and entry.is_file())
            continue
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if target in seen or opened.startswith(f"{target}/"):
                return []  # a link to a folder above: its contents are searched already
            seen.add(target)
        if entry.name not in _NOT_SEARCHED:
            folders.append(entry.path)
    found: list[_Library] = []
    for folder in folders:
        is_barrier = _name(folder) in _LIBRARY_FOLDERS
        found += _search(folder, folder if is_barrier else opened, level + is_barrier, is_npm, seen)
    start = opened
    if _name(opened) in _LIBRARY_FOLDERS and opened != current:
        start = f"{opened}/{current[len(opened) + 1 :].split('/')[0]}"
    same = [library for library in found if library.level == level]
    if has_sources or sum(library.start == start for library in same) > 1:
        return _merged(found, current, start, level, is_npm)
    if same:
        _move_up(same[0], start, opened)
    return found


def _merged(found: list[_Library], current: str, start: str, level: int, is_npm: bool) -> list[_Library]:
    """Return one library for all that were found at a level; the one with a folder `src`, if there is just one."""
    with_src = [library for library in found if _name(library.sources) == "src"]
    if len(with_src) == 1:
        return with_src
    others = [library for library in found if library.level != level]
    sources = start if is_npm else current
    if level and sources == start and _name(sources) in (*_SOURCE_FOLDERS, *_LIBRARY_FOLDERS):
        return others
    return [*others, _Library(start, sources, level)]


def _move_up(library: _Library, start: str, opened: str) -> None:
    """Let the only library in a folder begin at its folder of sources, or where its own folder is."""
    below = library.sources[len(library.start) + 1 :].split("/") if library.sources != library.start else []
    if len(below) > 1 and (below[-1] == "contracts" or below[-2:] == ["contracts", "src"]):
        library.sources = start
    elif below and below[-1] not in _SOURCE_FOLDERS:
        place = os.path.dirname(library.sources)
        while place.startswith(f"{opened}/") and _name(place) not in _SOURCE_FOLDERS:
            place = os.path.dirname(place)
        library.sources = place if place.startswith(f"{opened}/") else opened


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name, without hidden entries; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []
