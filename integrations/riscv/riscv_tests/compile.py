"""Compiles the contracts of the tests in both forms: `python -m riscv_tests.compile NPM`."""

import json
import sys
from pathlib import Path

from hypervisor_riscv.resolc import RESOLC
from riscv_tests.contracts import FOLDER
from riscv_tests.semantics import SOLC, Case, compiled


def main(npm: Path) -> None:
    """Write compiled.json with the packages of a folder."""
    cases = [Case(path.name, path.read_text(), b"", ()) for path in sorted(FOLDER.glob("*.sol"))]
    evm = compiled(["node", str(SOLC), str(npm / "node_modules" / "solc" / "soljson.js")], cases, npm)
    riscv = compiled([str(RESOLC.path)], cases, npm)
    found = {
        name: {
            "abi": theirs["abi"], "evm": theirs["evm"]["bytecode"]["object"],
            "riscv": riscv["contracts"][file][name]["evm"]["bytecode"]["object"],
        }
        for file, contracts in evm["contracts"].items() for name, theirs in contracts.items()
    }  # fmt: skip
    (FOLDER / "compiled.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
