"""Compiled contracts of `contracts/`, so that tests need no compiler.

python -m tests.hypervisor_tools.soltest.symbolic.golden     compile and record them (needs a compiler)
"""

import json
import lzma
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.run.session import SuiteSession
from store.keccak import keccak

FOLDER: Final = Path(__file__).parent / "contracts"
FILE: Final = FOLDER / "compiled.json.xz"
CONFIGURATION: Final = '[profile.default]\nlibs = []\nevm_version = "prague"\nsolc = "0.8.30"\n'


PAGE: Final = Path(__file__).parents[4] / "docs" / "symbolic-tests.md"


def sources() -> dict[str, str]:
    """Return the texts of the sources by name: those of the folder, and the examples of the documentation."""
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.sol")}
    text = PAGE.read_text(encoding="utf-8")
    examples = re.findall(r"```solidity\n// test/(\w+\.t\.sol)\n(.*?)```", text, re.DOTALL)
    return {**found, **dict(examples)}


def hashes() -> dict[str, str]:
    """Return the hashes of the sources."""
    return {name: keccak(text.encode()).hex() for name, text in sources().items()}


def read() -> dict[str, Any]:
    """Return the record: hashes of the sources, and artifacts by source and name."""
    found: dict[str, Any] = json.loads(lzma.decompress(FILE.read_bytes()))
    return found


def _artifact(found: dict[str, Any]) -> dict[str, Any]:
    code = {name: {"object": found[name]["object"]} for name in ("bytecode", "deployedBytecode")}
    return {"abi": found["abi"], "methodIdentifiers": {}, **code}


def main() -> None:
    """Compile the contracts and record them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "test").mkdir()
        for name, source in sources().items():
            (root / "test" / name).write_text(source, encoding="utf-8")
        (root / "foundry.toml").write_text(CONFIGURATION, encoding="utf-8")
        artifacts = SuiteSession(load_project(root), SuiteFilter(), Options()).compiled()
        made = {
            f"{place.file}:{place.name}": _artifact(json.loads(place.path.read_text(encoding="utf-8")))
            for place in artifacts.locations
        }
    text = json.dumps({"sources": hashes(), "artifacts": made}, sort_keys=True)
    FILE.write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
