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
"""Name of the Rust template: its folder, its crate, and the placeholder in its files."""

RUST: Final = "rust"
TEMPLATES: Final = {RUST: TEMPLATE, "c": "c/tally", "assemblyscript": "assemblyscript/tally"}
"""Template folder by language. Its last part is the placeholder that is replaced by the project's name."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_BUILD_OUTPUTS: Final = ("target", "build", "node_modules", "__pycache__", ".pytest_cache", "tip_jar.json")
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
"""Names that cargo rejects for a package: Rust's keywords, its own crates and its folders."""


def new_project(name: str, parent: Path, language: str = RUST) -> Path:
    """Create the project `name` in `parent`, in one of the languages of TEMPLATES. Return its folder.

    Raises InvalidInput for a name that is not a valid crate name, for an unknown language, and if the folder exists or
    cannot be written. In these cases nothing is written.
    """
    if language not in TEMPLATES:
        raise InvalidInput(f"there is no template in '{language}': choose one of {', '.join(TEMPLATES)}")
    folder, template_path = parent / name, TEMPLATES[language].split("/")
    with as_file(files("hypervisor.builtin_actors")) as actors:
        template = actors.joinpath("template", *template_path)
        _check(name, template if language == RUST else None)
        if folder.exists() or folder.is_symlink():
            raise InvalidInput(f"{folder} exists already: choose another name")
        try:
            with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-") as scratch:
                written = Path(scratch) / name
                for path in _sources(template):
                    target = written / path.relative_to(template)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    text = path.read_text(encoding="utf-8").replace(template_path[-1], name)
                    target.write_text(text, encoding="utf-8", newline="\n")
                if language == "c":
                    copytree(actors / "include", written / "include")
                written.rename(folder)
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def project_commands(folder: Path, *, build: bool = True) -> list[list[str]]:
    """Return the commands that build and test a project. Raises InvalidInput if it has no build file."""
    found = next((command for name, command in _BUILDERS.items() if (folder / name).is_file()), None)
    if found is None:
        raise InvalidInput(f"{folder} holds no actor's project: expected one of {', '.join(_BUILDERS)}")
    return [*([found] if build else []), [sys.executable, "-m", "pytest"]]


def lines_environment(folder: Path) -> dict[str, str]:
    """Return variables with which cargo adds source lines to a project's module, in a target folder of its own.

    Empty without Cargo.toml. Raises InvalidInput for a malformed `.cargo/config.toml`.
    """
    if not (folder / "Cargo.toml").is_file():
        return {}
    config = folder / ".cargo" / "config.toml"
    try:
        flags = tomllib.loads(config.read_text(encoding="utf-8"))["build"]["rustflags"] if config.is_file() else []
        kept = [flag for flag in flags if "compress-relocations" not in flag]  # the linker refuses it with lines
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InvalidInput(f"{config} has no list build.rustflags: {error}") from None
    return {
        "CARGO_TARGET_DIR": str((folder / "target" / "lines").resolve()),
        "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
        "CARGO_PROFILE_RELEASE_STRIP": "none",
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(kept),
    }


def _check(name: str, crate: Path | None) -> None:
    """Raise InvalidInput for a name that an actor cannot have; `crate` is the folder of a Rust template."""
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
        if path.name in _BUILD_OUTPUTS or path.suffix == ".wasm":
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path
