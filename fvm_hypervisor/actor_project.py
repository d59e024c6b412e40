"""Creation of a project for a user's native actor, from a template in `builtin_actors/template`.

A template is a complete project, and only its name is replaced. A project in C also gets the header of the syscalls.
"""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from shutil import copytree
from typing import Final

from hypervisor.errors import InvalidInput

TEMPLATE: Final = "tip_jar"
"""The folder of the template in Rust, its crate and the word in its texts."""

RUST: Final = "rust"
TEMPLATES: Final = {RUST: TEMPLATE, "c": "c/tally", "assemblyscript": "assemblyscript/tally"}
"""The languages, and where the template of each lies; its last part is the name that is replaced."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_MADE: Final = ("target", "build", "node_modules", "__pycache__", ".pytest_cache", "tip_jar.json")
"""Outputs of building and testing a template that are not copied; modules (.wasm) are not either."""

_BUILDERS: Final = {
    "Cargo.toml": ["cargo", "build", "--release"],
    "Makefile": ["make"],
    "package.json": ["npm", "run", "build"],
}
"""Build command of a project, by its build file."""

_KEYWORDS: Final = (
    "abstract alloc as async await become box break build const continue core crate deps do dyn else enum examples "
    "extern false final fn for gen if impl in incremental let loop macro match mod move mut override priv proc_macro "
    "pub ref return self static std struct super test trait true try type typeof unsafe unsized use virtual where "
    "while yield"
)
"""Words that cargo takes for no package: Rust's keywords, its own crates, names of its folders."""


def new_project(name: str, parent: Path, language: str = RUST) -> Path:
    """Write the project `name` in one of the languages of TEMPLATES as a folder of `parent`; the folder.

    InvalidInput for a name that no crate may have, for another language, or for a folder that is there or cannot be
    written: then nothing is.
    """
    if language not in TEMPLATES:
        raise InvalidInput(f"there is no template in '{language}': choose one of {', '.join(TEMPLATES)}")
    folder, place = parent / name, TEMPLATES[language].split("/")
    with as_file(files("fvm_hypervisor.builtin_actors")) as actors:
        template = actors.joinpath("template", *place)
        _check(name, template if language == RUST else None)
        if folder.exists() or folder.is_symlink():
            raise InvalidInput(f"{folder} exists already: choose another name")
        try:
            with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-") as scratch:
                written = Path(scratch) / name
                for path in _sources(template):
                    target = written / path.relative_to(template)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    text = path.read_text(encoding="utf-8").replace(place[-1], name)
                    target.write_text(text, encoding="utf-8", newline="\n")
                if language == "c":
                    copytree(actors / "include", written / "include")
                written.rename(folder)
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def project_commands(folder: Path, *, build: bool = True) -> list[list[str]]:
    """Return the commands that build and test the project in a folder; InvalidInput if it has no build file."""
    found = next((command for name, command in _BUILDERS.items() if (folder / name).is_file()), None)
    if found is None:
        raise InvalidInput(f"{folder} holds no actor's project: expected one of {', '.join(_BUILDERS)}")
    return [*([found] if build else []), [sys.executable, "-m", "pytest"]]


def _check(name: str, crate: Path | None) -> None:
    """InvalidInput for a name that no actor may have; `crate` is the template where it is one of Rust."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{name}' is not a valid name for an actor: expected a lowercase letter, then lowercase letters, digits "
            "and _, at most 64"
        )
    if crate is None:
        return
    lock = tomllib.loads((crate / "Cargo.lock").read_text(encoding="utf-8"))
    crates = {package["name"].replace("-", "_") for package in lock["package"]} - {TEMPLATE}
    if name in crates | set(_KEYWORDS.split()):
        raise InvalidInput(f"'{name}' means something else to Rust or is a crate that actors use: choose another name")


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _MADE or path.suffix == ".wasm":
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path
