"""Forge's results for the contracts beside this file, and the compiled contracts: `golden.json.gz`.

python -m tests.fvm_hypervisor.soltest.cheatcodes.golden FOLDER     make it from a folder in which forge has run

The folder holds `forge0.json` and `forge1.json` (`forge test --json -vvv`, with the options of `RUNS`) and
forge's `out`. `make clients` runs forge again and compares.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.gz"
SOURCES: Final = (
    "Pranks",
    "Env",
    "Expect",
    "Texts",
    "Mappings",
    "Delegations",
    "Typed",
    "Fails",
    "Filecoin",
    "Hostile",
    "Rollbacks",
    "Numbers",
    "Scripts",
    "Logs",
    "Metering",
    "Instructions",
    "Slots",
)

RUNS: Final = (
    ("--nmc", "FilecoinTest|HostileTest|SlotsTest"),
    ("--mc", "SlotsTest", "--extra-output", "storageLayout"),  # forge needs layouts to name variables in state diffs
)
"""Options of forge's runs."""


def of_forge(results: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return forge's results in the form of the file: status, reason and gas by suite and test."""
    return {
        suite.split(":")[1]: {
            name: {
                "status": test["status"],
                "reason": test["reason"] or "",
                "gas": test["kind"]["Unit"]["gas"],
                "logs": test["decoded_logs"],
            }
            for name, test in sorted(found["test_results"].items())
        }
        for suite, found in sorted(results.items())
    }


def _artifacts(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for source in SOURCES:
        for file in sorted((folder / "out" / f"{source}.t.sol").glob("*.json")):
            whole = json.loads(file.read_text(encoding="utf-8"))
            kept = {name: {"object": whole[name]["object"]} for name in ("bytecode", "deployedBytecode")}
            methods = {"abi": whole["abi"], "methodIdentifiers": whole["methodIdentifiers"]}
            found[f"test/{source}.t.sol:{file.stem}"] = methods | kept
            if source == "Slots":
                found[f"test/{source}.t.sol:{file.stem}"]["storageLayout"] = whole["storageLayout"]
    return found


def main(folder: Path) -> None:
    """Write the file."""
    runs = (json.loads((folder / f"forge{number}.json").read_text(encoding="utf-8")) for number in range(len(RUNS)))
    results = {suite: found for run in runs for suite, found in run.items()}
    content = {"artifacts": _artifacts(folder), "forge": of_forge(results)}
    FILE.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


GOLDEN: Final[dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}
"""`artifacts` by source and contract, `forge` by suite and test."""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
