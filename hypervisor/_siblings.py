"""A check against user modules that shadow one of our packages.

The distribution installs packages with generic names (`store`, `bridge`, ...). A module of the same name earlier on the
path, such as a `bridge.py` in the working directory, would be imported instead; this check reports it.
"""

from importlib.util import find_spec
from pathlib import Path

CORE = ("store", "bridge", "runtimes")
SIBLINGS = (*CORE, "localnet", "hypervisor_tools")


class HiddenPackage(ImportError):
    """Raised when another module shadows one of our packages; the message names its file and the remedy."""


def check_siblings(package_file: str) -> None:
    """Raise HiddenPackage if a core package is absent or a module shadows a sibling of `package_file`'s package."""
    home = Path(package_file).resolve().parent.parent
    for name in SIBLINGS:
        if name not in CORE and not (home / name).is_dir():
            continue
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None and name in CORE:
            raise HiddenPackage(f"package '{name}' of fvm-hypervisor is not installed next to {home / 'hypervisor'}")
        if origin is not None and Path(origin).resolve().parent.parent != home:
            raise HiddenPackage(
                f"{origin} shadows the package '{name}' of fvm-hypervisor: rename that file, or run from another folder"
            )
