"""The compiled examples of the demonstration: solc's JSON and the module of a native actor.

In a checkout they are in examples/; a wheel contains copies in this folder.
"""

from functools import cache
from pathlib import Path

from localnet.contracts.contract import Artifact

_PACKAGED = Path(__file__).parent / "compiled"
_CHECKOUT = Path(__file__).parent.parent.parent / "examples"


@cache
def contract(name: str) -> Artifact:
    """Return the artifact of a contract in examples/solidity."""
    return Artifact.load(_find(f"solidity/artifacts/{name}.json"))


@cache
def counter_module() -> bytes:
    """Return the module of the native counter actor in examples/counter."""
    return _find("counter/counter.wasm").read_bytes()


def _find(path: str) -> Path:
    for folder in (_PACKAGED, _CHECKOUT):
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(
        f"the example {path} is neither in the package nor in a checkout: install the project again"
    )
