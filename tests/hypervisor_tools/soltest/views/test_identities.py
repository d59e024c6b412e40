"""Creations are named by the most similar contract, as in forge.

Expected: forge 1.7.1 names `new <unknown>` for the clone, in a project with this library and `bytecode_hash = "none"`.
"""

import json
from pathlib import Path

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.trace.identities import CreationMatcher
from hypervisor_tools.soltest.trace.known_code import KnownCode

LIBRARY = "73" + "00" * 20 + "301460806040525f5ffdfea164736f6c6343000825000a"
"""Code of a library without functions; its own address is filled in when it is created."""
LIBRARY_CREATION = (
    "602c604b600b8282823980515f1a607314603f577f4e487b7100000000000000000000000000000000000000000000000000000000"
    f"5f525f60045260245ffd5b305f52607381538281f3fe{LIBRARY}"
)
CLONE = "363d3d373d3d3d363d73" + "ab" * 20 + "5af43d82803e903d91602b57fd5bf3"
"""A minimal proxy (ERC-1167), about as long as the library's code."""
CLONE_CREATION = f"3d602d80600a3d3981f3{CLONE}"


def matcher(folder: Path) -> CreationMatcher:
    artifact = {
        "abi": [],
        "bytecode": {"object": f"0x{LIBRARY_CREATION}"},
        "deployedBytecode": {"object": f"0x{LIBRARY}"},
    }
    (folder / "Empty.json").write_text(json.dumps(artifact), encoding="utf-8")
    return CreationMatcher(
        KnownCode(Artifacts(folder, [ArtifactLocation("src/Empty.sol", "Empty", folder / "Empty.json")], {}))
    )


def test_minimal_proxy_is_not_taken_for_library(tmp_path: Path) -> None:
    assert matcher(tmp_path).find(bytes.fromhex(CLONE_CREATION), bytes.fromhex(CLONE)) is None


def test_a_library_is_found_by_its_creation_code(tmp_path: Path) -> None:
    deployed = LIBRARY.replace("00" * 20, "ab" * 20)
    found = matcher(tmp_path).find(bytes.fromhex(LIBRARY_CREATION), bytes.fromhex(deployed))
    assert found is not None
    assert found.name == "Empty"
