"""Resolution of Solidity imports: solc's remappings, and those that forge detects.

A source is identified by its path relative to the project's root, with slashes. Rules: the Solidity documentation on
import path resolution; forge's remappings are those of `foundry.toml`, `remappings.txt` and the libraries' folders.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.library_remappings import LIBRARY_FOLDERS, find_libraries
from fvm_hypervisor.soltest.project_files import read_config, read_utf8
from hypervisor.errors import InvalidInput

_CODE_FOLDERS: Final = ("src", "contracts")
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
    if not file.is_file():
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
        src = next((name for name in _CODE_FOLDERS if (folder / name).is_dir()), _CODE_FOLDERS[0])
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
