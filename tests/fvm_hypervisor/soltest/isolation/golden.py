"""Forge's results for the contracts beside this file with `isolate = true`, and the compiled contracts.

python -m tests.fvm_hypervisor.soltest.isolation.golden FOLDER     make `golden.json.gz` from a folder in which forge
has run

The folder holds `forge.json` (`forge test --json -vv`), `gas.json` (`forge test --json --gas-report --nmt testFuzz`)
and forge's `out`.
`make clients` runs forge again and compares.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.fvm_hypervisor.soltest.forks.golden import of_forge

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.gz"
CONFIGURATION: Final = """[profile.default]
src = "src"
test = "test"
libs = []
auto_detect_remappings = false
optimizer = true
evm_version = "prague"
offline = true
isolate = true

[fuzz]
seed = "0x1"
"""


def gas_of_forge(report: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Return minimum, mean, median and maximum gas and the number of calls, by contract and function."""
    return {
        row["contract"]: {
            function: [found["min"], found["mean"], found["median"], found["max"], found["calls"]]
            for function, found in sorted(row["functions"].items())
        }
        for row in report
    }


def main(folder: Path) -> None:
    """Write the file."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((folder / "out" / "Isolated.t.sol").glob("*.json")):
        whole = json.loads(file.read_text(encoding="utf-8"))
        kept = {name: {"object": whole[name]["object"]} for name in ("bytecode", "deployedBytecode")}
        linked = {name: {**kept[name], "linkReferences": whole[name].get("linkReferences", {})} for name in kept}
        named = {name: whole[name] for name in ("abi", "methodIdentifiers")}
        found[f"test/Isolated.t.sol:{file.stem}"] = {**named, **linked}
    content = {
        "artifacts": found,
        "forge": of_forge(json.loads((folder / "forge.json").read_text())),
        "gas": gas_of_forge(json.loads((folder / "gas.json").read_text())),
    }
    FILE.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


GOLDEN: Final[dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}
"""`artifacts` by source and contract; `forge` by suite and test; `gas` by contract and function."""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
