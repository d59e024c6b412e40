"""The compiled examples that the demonstration runs: solc's JSON and a native actor's module.

In a checkout they lie in examples/; a wheel carries copies beside this file.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bridge.abi import ContractInterface

_PACKAGED = Path(__file__).parent / "compiled"
_CHECKOUT = Path(__file__).parent.parent.parent / "examples"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A contract as solc left it."""

    name: str
    interface: ContractInterface
    bytecode: bytes


@cache
def contract(name: str) -> Artifact:
    """The artifact of a contract of examples/solidity."""
    data = json.loads(_read(f"solidity/artifacts/{name}.json"))
    return Artifact(name, ContractInterface(data["abi"]), bytes.fromhex(data["bytecode"].removeprefix("0x")))


@cache
def counter_module() -> bytes:
    """The native counter actor of examples/counter."""
    return _read("counter/counter.wasm")


def _read(path: str) -> bytes:
    for folder in (_PACKAGED, _CHECKOUT):
        if (folder / path).is_file():
            return (folder / path).read_bytes()
    raise FileNotFoundError(
        f"the example {path} is neither in the package nor in a checkout: install the project again"
    )
