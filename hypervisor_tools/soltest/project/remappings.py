"""Resolution of Solidity imports: solc's remappings, and those that forge detects.

A source is identified by its path relative to the project's root, with slashes. Rules: the Solidity documentation on
import path resolution; forge's remappings are those of `foundry.toml`, `remappings.txt` and the libraries' folders.

A library that the project does not configure is a folder of the libraries' folder, or one below a `lib` or
`node_modules` inside of it. Imports begin with its name and map to its source folder (`src` or `contracts`) if it has
one, otherwise to the folder that contains all of its sources. Of libraries with the same name, the one with the shorter
path takes precedence.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists
from hypervisor_tools.soltest.project.consent import read_config, read_utf8

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


_NOT_LIBRARIES: Final = ("lib/", "src/", "contracts/")


@dataclass(frozen=True, slots=True)
class Remapping:
    """`context:prefix=target`: in sources below the context, imports with the prefix resolve to the target.

    Prefixes and targets read by `parse` end with a slash, as in forge, unless they name a file (`.sol`).
    """

    prefix: str
    target: str
    context: str = ""
    automatic: bool = field(default=False, compare=False)
    """True if it is of a library, rather than of the project."""

    @classmethod
    def parse(cls, text: str) -> Remapping:
        """Read a line of `remappings.txt`. Raises InvalidInput for a line that is not a remapping."""
        before, _, target = text.partition("=")
        context, _, prefix = before.rpartition(":")
        if not prefix or not target:
            raise InvalidInput(f"'{text}' is not a remapping: expected prefix=target")
        return cls(_with_slash(prefix), _with_slash(target), context)

    def __str__(self) -> str:
        context = f"{self.context}:" if self.context else ""
        return f"{context}{self.prefix}={self.target}"


def _with_slash(path: str) -> str:
    return path if path.endswith(("/", ".sol")) else f"{path}/"


def resolve(imported: str, importer: str, remappings: Sequence[Remapping]) -> str:
    """Return the path of the source that an import resolves to, relative to the root."""
    if imported.startswith(("./", "../")):
        return posixpath.normpath(posixpath.join(posixpath.dirname(importer), imported))
    best = _best(imported, importer, remappings)
    return imported if best is None else posixpath.normpath(best.target + imported[len(best.prefix) :])


def _best(imported: str, importer: str, remappings: Iterable[Remapping]) -> Remapping | None:
    """Return the remapping that applies to an import, or None."""
    fitting = [
        found
        for found in remappings
        if imported.startswith(found.prefix) and (not found.context or importer.startswith(found.context))
    ]
    return max(fitting, key=lambda found: (len(found.context), len(found.prefix)), default=None)


def scoped_remapping(
    imported: str, importer: str, root: Path, remappings: Sequence[Remapping], known: dict[str, Sequence[Remapping]]
) -> Remapping | None:
    """Return a remapping for the sources of the importer's library, if an import leads to another library's library.

    Two libraries may have a library of one name each (foundry#16125). The project's own remappings and libraries take
    precedence, as in forge 1.7.1. `known` caches the remappings of each library.
    """
    if imported.startswith("."):
        return None
    chosen = _best(imported, importer, remappings)
    if chosen is not None and not (chosen.automatic and _is_nested(chosen.target)):
        return None
    parts = importer.split("/")
    for depth in range(len(parts) - 1, 1, -1):
        folder = "/".join(parts[:depth])
        if parts[depth - 2] in LIBRARY_FOLDERS:
            if folder not in known:
                known[folder] = _of_library(root, folder)
            own = _best(imported, importer, known[folder])
            if own is not None and (root / own.target).exists():
                is_same = chosen is not None and (own.prefix, own.target) == (chosen.prefix, chosen.target)
                return None if is_same else replace(own, context=f"{folder}/")
    return None


def _is_nested(target: str) -> bool:
    """Return True if a folder is in a library of a library."""
    return sum(part in LIBRARY_FOLDERS for part in target.split("/")) > 1


def _of_library(root: Path, folder: str) -> Sequence[Remapping]:
    """Return the remappings that a library's own sources are compiled with, as seen from the project at `root`."""
    if (root / folder / "foundry.toml").is_file():
        return _of_project(root, folder)
    found = all_remappings(root / folder, (), (), LIBRARY_FOLDERS, automatic=True)
    return [replace(one, target=posixpath.join(folder, one.target)) for one in found]


def all_remappings(
    root: Path, first: Iterable[Remapping], configured: Iterable[Remapping], libs: Sequence[str], automatic: bool
) -> tuple[Remapping, ...]:
    """Return a project's remappings; per context and prefix, the one with the highest precedence.

    In descending order, as in forge: `first` (options and environment), `remappings.txt`, `configured` (foundry.toml),
    and, if `automatic`, those of the libraries. Raises InvalidInput naming the file.
    """
    own = [*first, *_of_file(root), *configured]
    found = list({(remapping.context, remapping.prefix): remapping for remapping in reversed(own)}.values())
    if automatic:
        for remapping in _of_libraries(root, libs):
            if not any(_is_in_conflict(remapping, other) for other in found):
                found.append(replace(remapping, automatic=True))
    return tuple(sorted(found, key=str))


def _is_in_conflict(new: Remapping, old: Remapping) -> bool:
    """Return True if another remapping overrides a library's: neither prefix may be a prefix of the other."""
    if new.prefix.endswith(".sol"):
        return new == old or not new.target.endswith(".sol")
    old_folder = old.prefix if old.prefix.endswith("/") else f"{old.prefix}/"
    overlaps = new.prefix.startswith(old_folder) or old.prefix.startswith(new.prefix)
    return overlaps and new.context == old.context


def _of_file(folder: Path) -> list[Remapping]:
    file = folder / "remappings.txt"
    if not exists(file):
        return []
    lines = (line.strip() for line in read_utf8(file).splitlines())
    try:
        return [Remapping.parse(line) for line in lines if line and not line.startswith("#")]
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None


def _of_libraries(root: Path, libs: Sequence[str]) -> list[Remapping]:
    """Return the remappings of libraries, configured by themselves or detected.

    Of several with the same context and prefix, the one with the shortest target takes precedence. npm packages are
    imported by name (`package_of`).
    """
    folders = [lib for lib in libs if posixpath.basename(lib) != "node_modules" and (root / lib).is_dir()]
    found = [
        remapping
        for lib in folders
        for folder in _configured_folders(root, lib)
        for remapping in _of_project(root, folder)
    ]
    for lib in folders:
        found += [
            Remapping(prefix, _relative(target, root))
            for prefix, target in find_libraries(str(root / lib)).items()
            if prefix not in _NOT_LIBRARIES
        ]
    nearest: dict[tuple[str, str], Remapping] = {}
    for remapping in found:
        old = nearest.setdefault((remapping.context, remapping.prefix), remapping)
        if _depth(root, remapping) < _depth(root, old):
            nearest[remapping.context, remapping.prefix] = remapping
    return [remapping for _, remapping in sorted(nearest.items())]


def _depth(root: Path, remapping: Remapping) -> int:
    return len((root / remapping.target).parts)


def _relative(target: str, root: Path) -> str:
    return target.removeprefix(f"{root}/")


def _configured_folders(root: Path, lib: str) -> list[str]:
    """Return the libraries' folder and its subfolders, if they have a `foundry.toml`."""
    inner = sorted(path.name for path in (root / lib).iterdir() if path.is_dir())
    places = [lib, *(posixpath.join(lib, name) for name in inner)]
    return [folder for folder in places if (root / folder / "foundry.toml").is_file()]


def _of_project(root: Path, path: str) -> list[Remapping]:
    """Return the remappings of a library that is a forge project, as seen from the project at `root`."""
    folder = root / path
    file = folder / "foundry.toml"
    content = read_config(file)
    try:
        profile = content.get("profile", {}).get("default", {})
        configured = [Remapping.parse(text) for text in profile.get("remappings", ())]
        src, libs = profile.get("src"), tuple(str(lib) for lib in profile.get("libs", ("lib",)))
        automatic = profile.get("auto_detect_remappings", True)
    except (AttributeError, TypeError, InvalidInput) as error:
        raise InvalidInput(f"{file}: {error}") from None
    inside = [lib for lib in libs if (folder / lib).resolve() not in (root.resolve(), *root.resolve().parents)]
    found = list(all_remappings(folder, (), configured, inside, automatic))
    if src is None:
        src = next((name for name in _SOURCE_FOLDERS if (folder / name).is_dir()), _SOURCE_FOLDERS[0])
    found.append(Remapping(f"{posixpath.basename(path)}/", _with_slash(str(src))))
    return [Remapping(one.prefix, posixpath.join(path, one.target), one.context) for one in found]


def package_of(imported: str, root: Path, libs: Sequence[str]) -> Remapping | None:
    """Return the remapping of an import that names a package in a libraries' folder, as for npm."""
    parts = imported.split("/")
    name = "/".join(parts[:2] if imported.startswith("@") else parts[:1])
    for lib in libs:
        if name and name not in (".", "..") and (root / lib / name).is_dir():
            return Remapping(f"{name}/", f"{lib}/{name}/")
    return None
