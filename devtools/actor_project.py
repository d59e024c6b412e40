"""A new project for a user's own actor: a copy of the template `actors/template` under another name.

The template is a project that works as it is; its name is all that is replaced.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput

TEMPLATE: Final = "tip_jar"
"""The template's folder, crate and word in its texts."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_MADE: Final = ("target", "__pycache__", ".pytest_cache", f"{TEMPLATE}.wasm", f"{TEMPLATE}.json")
"""What building and testing the template leaves beside its sources."""

_KEYWORDS: Final = (
    "abstract alloc as async await become box break build const continue core crate deps do dyn else enum examples "
    "extern false final fn for gen if impl in incremental let loop macro match mod move mut override priv proc_macro "
    "pub ref return self static std struct super test trait true try type typeof unsafe unsized use virtual where "
    "while yield"
)
"""Words that cargo takes for no package: Rust's keywords, its own crates, names of its folders."""


def new_project(name: str, parent: Path) -> Path:
    """Write the project `name` as a folder of `parent`; the folder.

    InvalidInput for a name that no crate may have, or a folder that is there or cannot be written: then nothing is.
    """
    folder = parent / name
    with as_file(files("actors") / "template" / TEMPLATE) as template:
        _check(name, template)
        if folder.exists() or folder.is_symlink():
            raise InvalidInput(f"{folder} exists already: choose another name")
        try:
            with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-") as scratch:
                written = Path(scratch) / name
                for path in _sources(template):
                    target = written / path.relative_to(template)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    text = path.read_text(encoding="utf-8").replace(TEMPLATE, name)
                    target.write_text(text, encoding="utf-8", newline="\n")
                written.rename(folder)
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def _check(name: str, template: Path) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"'{name}' is not a valid name for an actor: expected a lowercase letter, then lowercase letters, digits "
            "and _, at most 64"
        )
    lock = tomllib.loads((template / "Cargo.lock").read_text(encoding="utf-8"))
    crates = {package["name"].replace("-", "_") for package in lock["package"]} - {TEMPLATE}
    if name in crates | set(_KEYWORDS.split()):
        raise InvalidInput(f"'{name}' means something else to Rust or is a crate that actors use: choose another name")


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _MADE:
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path
