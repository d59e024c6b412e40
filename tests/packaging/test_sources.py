"""Tests of every file: no machine paths, and no package index."""

import re
from functools import cache

import pytest

from tests.packaging.project import PROJECT, own_files

BINARY = (".car", ".wasm", ".gz", ".png", ".webp", ".xz")

# The home of a user or the work folder of a machine. A device, a temporary file, a system's own tool may be named.
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:home|root|Users|work|opt|mnt)/\w+")


@cache
def texts(*patterns: str) -> dict[str, str]:
    """Yield the project's own files with their text, by path in the project."""
    paths = {path.relative_to(PROJECT).as_posix(): path for path in own_files(*patterns)}
    return {name: path.read_text() for name, path in paths.items() if not name.endswith(BINARY)}


@pytest.mark.slow
def test_sources_contain_no_machine_paths() -> None:
    found = {name: MACHINE_PATH.search(text) for name, text in texts().items()}
    assert {name: match[0] for name, match in found.items() if match} == {}


def test_the_lock_of_the_packages_names_no_index() -> None:
    assert "://" not in texts("requirements.lock")["requirements.lock"]
