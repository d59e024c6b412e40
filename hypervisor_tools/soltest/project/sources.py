"""Collection of a project's Solidity sources with all imports, and watching of their changes."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import sleep
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor_tools.soltest.project.consent import CONFIG_FILE, config_file
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.remappings import Remapping, package_of, resolve, scoped_remapping

_IMPORT: Final = re.compile(r"""(?:^|[;}])\s*import\b[^"';]*["']([^"']+)["']""", re.MULTILINE)
_DECLARATION: Final = re.compile(
    r"(?:^|[;}])\s*(?:abstract\s+)?(?:contract|library|interface)\s+([A-Za-z_$][\w$]*)", re.MULTILINE
)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
SHIPPED: Final = "hypervisor/"
"""Import prefix of the sources in this package, unless the project has a folder with that name."""
_SHIPPED_FOLDER: Final = Path(__file__).parent.parent / "solidity"
MAX_SOURCE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Sources:
    """Source texts by path relative to the root; `own` are in the project's folders, the others were imported.

    `imports` has the imported paths of each.
    """

    texts: dict[str, str]
    own: frozenset[str]
    remappings: tuple[Remapping, ...]
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return these sources with all their direct and indirect imports."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.imports.get(name, ())
        return found


def own_sources(project: Project) -> list[str]:
    """Return the files in the project's folders that are not skipped."""
    found: set[str] = set()
    folders = [project.root / folder for folder in (project.src, project.test, project.script)]
    for folder in folders:
        if not folder.is_relative_to(project.root):
            continue  # no source there has a path in the project
        for path in sorted(folder.rglob("*.sol")):
            name = path.relative_to(project.root).as_posix()
            inside = name.split("/")
            if path.is_file() and not project.is_skipped(name) and "node_modules" not in inside:
                found.add(name)
    return sorted(name for name in found if not any(name.startswith(f"{lib}/") for lib in project.libs))


def read_sources(project: Project, names: Iterable[str]) -> Sources:
    """Read these sources and their imports. Raises InvalidInput naming the importer of a missing source."""
    own = frozenset(names)
    texts: dict[str, str] = {}
    edges: dict[str, tuple[str, ...]] = {}
    remappings, known = list(project.remappings), dict[str, Sequence[Remapping]]()
    has_scoped = False
    todo = [(name, "") for name in sorted(own, reverse=True)]
    while todo:
        name, importer = todo.pop()
        if name in texts:
            continue
        text = texts[name] = _read(project.root, name, importer)
        targets: list[str] = []
        for imported in imports(text):
            scoped = scoped_remapping(imported, name, project.root, remappings, known)
            if scoped is not None:
                remappings.append(scoped)
                has_scoped = True
            found = resolve(imported, name, remappings)
            if found == imported and not (project.root / found).is_file():
                package = package_of(imported, project.root, project.libs)
                if package is not None:
                    remappings.append(package)
                    found = resolve(imported, name, remappings)
            targets.append(found)
            todo.append((found, f"{name} imports '{imported}'"))
        edges[name] = tuple(targets)
    if has_scoped:  # they apply to imports that were resolved before, too
        return read_sources(replace(project, remappings=tuple(remappings)), own)
    return Sources(dict(sorted(texts.items())), own, tuple(remappings), edges)


def read_texts(project: Project, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield these sources without their imports. Raises InvalidInput for one that cannot be read."""
    return ((name, _read(project.root, name, "")) for name in names)


def imports(text: str) -> list[str]:
    """Return the imports of a source, as written."""
    if "import" not in text:
        return []
    return _IMPORT.findall(_COMMENT.sub(" ", text))


def declared_contracts(text: str) -> set[str]:
    """Return the names of the contracts, libraries and interfaces in a source."""
    return set(_DECLARATION.findall(_COMMENT.sub(" ", text)))


def _read(root: Path, name: str, importer: str) -> str:
    file = root / name
    if name.startswith(SHIPPED) and not file.exists():
        file = _SHIPPED_FOLDER / name.removeprefix(SHIPPED)
    try:
        file.stat()
        return read_bounded(file, MAX_SOURCE_BYTES, "the source").decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8") from None
    except OSError:
        if not importer:
            raise InvalidInput(f"{file} cannot be read") from None
        if " imports '." in importer:
            raise InvalidInput(
                f"{importer}, but {name} does not exist: correct the path, or delete the importer"
            ) from None
        raise InvalidInput(
            f"{importer}, but {name} does not exist: install the library ({_installing(name)}), or check the "
            "remappings of foundry.toml and remappings.txt"
        ) from None


def _installing(name: str) -> str:
    """Return the command that installs the library of an import."""
    first, _, rest = name.partition("/")
    if first == "lib":
        return f"git submodule update --init --recursive, or clone it to {first}/{rest.partition('/')[0]}"
    if first == "forge-std":
        return "git clone --depth 1 https://github.com/foundry-rs/forge-std lib/forge-std"
    if first.startswith("@"):
        return f"npm install {first}/{rest.partition('/')[0]}"
    return "forge install OWNER/REPOSITORY"


INTERVAL: Final = 0.2
"""Seconds between two polls."""
_SETTINGS: Final = (CONFIG_FILE, "remappings.txt")

FileStates = Mapping[str, tuple[int, int]]
"""Modification time in nanoseconds and size, by path."""


def file_states(project: Project) -> FileStates:
    """Return the state of the watched files: the project's own folders and settings.

    In folders only sources and settings are watched, so that files written by a run do not count as changes.
    """
    root = project.root
    own = [
        config_file(root),
        *(root / name for name in _SETTINGS),
        *(root / name for name in (project.src, project.test, project.script)),
    ]
    return dict(_states(own, {root / project.out, root / project.cache}))


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


def wait_for_change(project: Project, before: FileStates) -> list[str]:
    """Wait until files change and the changes settle; return the changed files."""
    while True:
        now = file_states(project)
        if now != before:
            sleep(INTERVAL / 2)
            if file_states(project) == now:
                return changed_files(before, now)
        sleep(INTERVAL)
