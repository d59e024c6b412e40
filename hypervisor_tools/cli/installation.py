"""Detection of packages of this installation that another distribution has overwritten, shadowed or removed.

It uses the standard library only, because it runs when one of the checked packages cannot be imported.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("hypervisor", "runtimes", "bridge", "store", "localnet", "hypervisor_tools")
"""Top-level packages of this distribution."""
HOME: Final = Path(__file__).resolve().parents[2]
"""Folder that contains the packages of this distribution."""
_REMEDY: Final = (
    "another distribution has a package of this name: uninstall that one, then "
    "`pip install --force-reinstall --no-deps fvm-hypervisor`, preferably in a separate virtual environment"
)


def damaged_packages(home: Path = HOME) -> list[str]:
    """Return one sentence for each package that is shadowed by another distribution or incomplete."""
    found = []
    for name in PACKAGES:
        problem = _import_fault(name, home) or next(_changed_files(name, home), None)
        if problem is not None:
            found.append(f"the package '{name}' {problem}; {_REMEDY}")
    return found


def _import_fault(name: str, home: Path) -> str | None:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "is missing"
    if spec.origin is None:
        return "has no __init__.py"
    location = Path(spec.origin).resolve().parent
    return None if location == home / name else f"is loaded from {location}, not from {home / name}"


def _changed_files(name: str, home: Path) -> Iterator[str]:
    try:
        files = distribution("fvm-hypervisor").files or []
    except PackageNotFoundError:
        return
    for file in files:
        if file.suffix != ".py" or file.parts[0] != name or file.hash is None:
            continue
        path = home / file
        if not path.is_file():
            yield f"has no file {file}"
        elif sha256(path.read_bytes()).digest() != urlsafe_b64decode(f"{file.hash.value}=="):
            yield f"has a file that differs from the installed one, {file}"
