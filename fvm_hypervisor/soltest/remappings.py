"""Where an import of Solidity leads: remappings as solc has them, and those that forge finds by itself.

A source is known by its path from the project's root, with slashes. Rules: the Solidity documentation on import path
resolution; forge's own remappings are those of `foundry.toml`, `remappings.txt` and the folders of libraries.
"""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput

_CODE_FOLDERS: Final = ("src", "contracts")
_NESTED: Final = ("lib", "node_modules")


@dataclass(frozen=True, slots=True)
class Remapping:
    """`context:prefix=target`: in sources below the context, imports that begin with the prefix lead to the target.

    Prefixes and targets that `parse` reads end with a slash, as in forge, unless they name a file (`.sol`).
    """

    prefix: str
    target: str
    context: str = ""

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
    """The source that an import leads to, by its path from the root."""
    if imported.startswith(("./", "../")):
        return posixpath.normpath(posixpath.join(posixpath.dirname(importer), imported))
    fitting = [
        found
        for found in remappings
        if imported.startswith(found.prefix) and (not found.context or importer.startswith(found.context))
    ]
    if not fitting:
        return imported
    best = max(fitting, key=lambda found: (len(found.context), len(found.prefix)))
    return posixpath.normpath(best.target + imported[len(best.prefix) :])


def all_remappings(
    root: Path, first: Iterable[Remapping], configured: Iterable[Remapping], libs: Sequence[str], automatic: bool
) -> tuple[Remapping, ...]:
    """Return a project's remappings: of those with the same context and prefix, the one of the highest precedence.

    In descending order, as in forge: `first` (options and environment), `remappings.txt`, `configured` (foundry.toml),
    and, if `automatic`, those of the libraries. Raises InvalidInput with the file that is wrong.
    """
    own = [*first, *_of_file(root), *configured]
    found = {(remapping.context, remapping.prefix): remapping for remapping in reversed(own)}
    if automatic:
        for lib in libs:
            for remapping in _of_libraries(root, lib):
                found.setdefault((remapping.context, remapping.prefix), remapping)
    return tuple(sorted(found.values(), key=str))


def _of_file(folder: Path) -> list[Remapping]:
    file = folder / "remappings.txt"
    if not file.is_file():
        return []
    try:
        lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
        return [Remapping.parse(line) for line in lines if line and not line.startswith("#")]
    except (UnicodeDecodeError, InvalidInput) as error:
        raise InvalidInput(f"{file}: {error}") from None
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None


def _of_library(folder: Path) -> list[Remapping]:
    """What a library says for itself: in `remappings.txt`, and in the default profile of its `foundry.toml`."""
    found = _of_file(folder)
    file = folder / "foundry.toml"
    if not file.is_file():
        return found
    try:
        profiles = tomllib.loads(file.read_text(encoding="utf-8")).get("profile", {})
        return found + [Remapping.parse(text) for text in profiles.get("default", {}).get("remappings", ())]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError, TypeError, InvalidInput) as error:
        raise InvalidInput(f"{file}: {error}") from None


def _of_libraries(root: Path, lib: str) -> Iterator[Remapping]:
    """One for each folder of libraries' folder, then what these have for themselves."""
    folder = root / lib
    if not folder.is_dir() or posixpath.basename(lib) == "node_modules":
        return  # npm's packages are imported by their names: see `package_of`
    inner: list[Remapping] = []
    for library in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        place = f"{lib}/{library.name}"
        code = next((f"{place}/{name}/" for name in _CODE_FOLDERS if (library / name).is_dir()), f"{place}/")
        yield Remapping(f"{library.name}/", code)
        inner += [Remapping(found.prefix, f"{place}/{found.target}") for found in _of_library(library)]
        for nested in _NESTED:
            inner += _of_libraries(root, f"{place}/{nested}")
    yield from inner


def package_of(imported: str, root: Path, libs: Sequence[str]) -> Remapping | None:
    """The remapping of an import that names a package below one of the libraries' folders, as npm's do."""
    parts = imported.split("/")
    name = "/".join(parts[:2] if imported.startswith("@") else parts[:1])
    for lib in libs:
        if name and name not in (".", "..") and (root / lib / name).is_dir():
            return Remapping(f"{name}/", f"{lib}/{name}/")
    return None
