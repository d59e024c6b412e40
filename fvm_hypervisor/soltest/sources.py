"""A project's Solidity sources: those of its own folders, and what they import, to the last one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.remappings import Remapping, package_of, resolve
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded

_IMPORT: Final = re.compile(r"""(?:^|[;}])\s*import\b[^"';]*["']([^"']+)["']""", re.MULTILINE)
_DECLARATION: Final = re.compile(
    r"(?:^|[;}])\s*(?:abstract\s+)?(?:contract|library|interface)\s+([A-Za-z_$][\w$]*)", re.MULTILINE
)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
SHIPPED: Final = "hypervisor/"
"""How tests import what comes with this package, where the project has no such folder of its own."""
_SHIPPED_FOLDER: Final = Path(__file__).parent / "solidity"
FILECOIN_VM: Final = "hypervisor/FilecoinVm.sol"
"""Imported without a remapping: the interface of Filecoin's own cheatcodes."""
_OWN: Final = Path(__file__).with_name("solidity")
LARGEST_SOURCE: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Sources:
    """Texts by their paths from the root; `own` are those of the project's folders, the others were imported.

    `imports` are the paths that each of them imports.
    """

    texts: dict[str, str]
    own: frozenset[str]
    remappings: tuple[Remapping, ...]
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def closure(self, names: Iterable[str]) -> set[str]:
        """These sources and all that they import, to the last one."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.imports.get(name, ())
        return found


def own_sources(project: Project) -> list[str]:
    """The files of the project's folders that are not left out."""
    found: set[str] = set()
    for folder in (project.src, project.test, project.script):
        for path in sorted((project.root / folder).rglob("*.sol")):
            name = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else ""
            inside = name.split("/")
            if name and path.is_file() and not project.is_skipped(name) and "node_modules" not in inside:
                found.add(name)
    return sorted(name for name in found if not any(name.startswith(f"{lib}/") for lib in project.libs))


def read_sources(project: Project, names: Iterable[str]) -> Sources:
    """These sources and what they import. Raises InvalidInput, with who imports what cannot be found."""
    own = frozenset(names)
    texts: dict[str, str] = {}
    edges: dict[str, tuple[str, ...]] = {}
    remappings = list(project.remappings)
    todo = [(name, "") for name in sorted(own, reverse=True)]
    while todo:
        name, importer = todo.pop()
        if name in texts:
            continue
        text = texts[name] = _read(project.root, name, importer)
        targets: list[str] = []
        for imported in imports(text):
            found = resolve(imported, name, remappings)
            if found == imported and not (project.root / found).is_file():
                package = package_of(imported, project.root, project.libs)
                if package is not None:
                    remappings.append(package)
                    found = resolve(imported, name, remappings)
            targets.append(found)
            todo.append((found, f"{name} imports '{imported}'"))
        edges[name] = tuple(targets)
    return Sources(dict(sorted(texts.items())), own, tuple(remappings), edges)


def read_texts(project: Project, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield these sources, without what they import. Raises InvalidInput for one that cannot be read."""
    return ((name, _read(project.root, name, "")) for name in names)


def imports(text: str) -> list[str]:
    """What a source imports, as it writes it."""
    if "import" not in text:
        return []
    return _IMPORT.findall(_COMMENT.sub(" ", text))


def declared_contracts(text: str) -> set[str]:
    """The contracts, libraries and interfaces of a source."""
    return set(_DECLARATION.findall(_COMMENT.sub(" ", text)))


def _read(root: Path, name: str, importer: str) -> str:
    file = root / name
    if name == FILECOIN_VM and not file.is_file():
        file = _OWN / "FilecoinVm.sol"
    if name.startswith(SHIPPED) and not file.exists():
        file = _SHIPPED_FOLDER / name.removeprefix(SHIPPED)
    try:
        file.stat()
        return read_bounded(file, LARGEST_SOURCE, "the source").decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8") from None
    except OSError:
        if not importer:
            raise InvalidInput(f"{file} cannot be read") from None
        raise InvalidInput(
            f"{importer}, and there is no {name}: install the library ({_installing(name)}), or look at the remappings "
            "of foundry.toml and remappings.txt"
        ) from None


def _installing(name: str) -> str:
    """The command that brings a library into a project, by the first words of what is imported from it."""
    first, _, rest = name.partition("/")
    if first == "forge-std":
        return "git clone --depth 1 https://github.com/foundry-rs/forge-std lib/forge-std"
    if first.startswith("@"):
        return f"npm install {first}/{rest.partition('/')[0]}"
    return "forge install OWNER/REPOSITORY"
