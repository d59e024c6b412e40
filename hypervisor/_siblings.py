"""Guards against a user's file that hides one of our packages.

The distribution installs packages with plain names (`store`, `bridge`, ...). A module of such a name earlier on the
path, say a `bridge.py` in the working directory, would be imported instead; this says so in one sentence.
"""

from importlib.util import find_spec
from pathlib import Path

SIBLINGS = ("store", "bridge", "runtimes", "localnet", "fvm_hypervisor")


class HiddenPackage(ImportError):
    """Another module hides one of our packages; the text names its file and the remedy."""


def check_siblings(package_file: str) -> None:
    """Raise HiddenPackage unless every sibling package lies beside the package of `package_file`."""
    home = Path(package_file).resolve().parent.parent
    for name in SIBLINGS:
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None:
            raise HiddenPackage(f"package '{name}' of fvm-hypervisor is not installed beside {home / 'hypervisor'}")
        if Path(origin).resolve().parent.parent != home:
            raise HiddenPackage(
                f"{origin} hides the package '{name}' of fvm-hypervisor: rename that file, or run from another folder"
            )
