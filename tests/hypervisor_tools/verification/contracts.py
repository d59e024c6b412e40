"""Outputs of solc 0.8.30 for `recorded/Kept.sol`, and a program that prints one of them instead of compiling.

`recorded/outputs.json` has the compiler's output by variant: the file as it is deployed; with a comment after its last
line; with `metadata.bytecodeHash` "none"; with `metadata.appendCBOR` false; and with other numbers in its functions.
The optimizer is enabled, with 200 runs.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.compile.compiler import Solc
from localnet import Network

RECORDED: Final = Path(__file__).with_name("recorded")
SOURCE: Final = (RECORDED / "Kept.sol").read_text(encoding="utf-8")
OUTPUTS: Final[Mapping[str, Any]] = json.loads((RECORDED / "outputs.json").read_text(encoding="utf-8"))
FILE: Final = "src/Kept.sol"
COMPILER: Final = "0.8.30+commit.73712a01"
DEPLOYED: Final = "as deployed"


def artifact(name: str, variant: str = DEPLOYED) -> ContractArtifact:
    found = OUTPUTS[variant][name]
    return ContractArtifact.of(
        name,
        FILE,
        {
            "abi": found["abi"],
            "bytecode": found["evm"]["bytecode"],
            "deployedBytecode": found["evm"]["deployedBytecode"],
        },
    )


def body(name: str = "Kept", **changes: Any) -> dict[str, Any]:
    return {
        "stdJsonInput": {"language": "Solidity", "sources": {FILE: {"content": SOURCE}}, "settings": {}},
        "compilerVersion": COMPILER,
        "contractIdentifier": f"{FILE}:{name}",
        **changes,
    }


def printing(folder: Path, answer: Any) -> Solc:
    """Return a compiler that reads its input and prints an answer."""
    return running(folder, f"import sys; sys.stdin.read(); print({json.dumps(answer)!r})")


def running(folder: Path, script: str) -> Solc:
    program = folder / "solc"
    program.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return Solc("0.8.30", program, False)


def recorded_answer(variant: str = DEPLOYED) -> dict[str, Any]:
    return {"contracts": {FILE: OUTPUTS[variant]}}


def init_code(name: str, argument: int | None = None, libraries: Mapping[str, bytes] | None = None) -> bytes:
    """Return the creation code with a constructor argument and library addresses."""
    code = artifact(name).creation.link({(FILE, key): address for key, address in (libraries or {}).items()})
    return code if argument is None else code + argument.to_bytes(32, "big")


def deploy(network: Network, code: bytes) -> bytes:
    made = network.send(None, 0, code).contract_address
    assert made is not None
    return made
