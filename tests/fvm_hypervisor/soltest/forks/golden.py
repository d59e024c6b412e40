"""Forge's results for the contracts beside this file on forks of anvil, and the compiled contracts.

python -m tests.fvm_hypervisor.soltest.forks.golden FOLDER     make `golden.json.gz` from a folder in which forge has
run

The folder holds `forge.json` and `url.json` (`forge test --json`, the second with --fork-url), `block.json`
(a block of anvil) and forge's `out`.
`make clients` runs forge again and compares.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any, Final

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

[rpc_endpoints]
first = "${FIRST_URL}"
second = "${SECOND_URL}"
missing = "${NOT_THERE_URL}"
"""


def of_forge(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return forge's results: status, reason, logs and the gas of unit tests, by suite and test."""
    return {
        suite.split(":")[1]: {
            name: {
                "status": test["status"],
                "reason": test["reason"] or "",
                "logs": test["decoded_logs"],
                "gas": test["kind"].get("Unit", {}).get("gas", 0),
            }
            for name, test in sorted(found["test_results"].items())
        }
        for suite, found in sorted(results.items())
    }


def artifacts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the compiled contracts by source and name, reduced to what tests need."""
    found: dict[str, dict[str, Any]] = {}
    for source in (
        "Counter.sol",
        "Forks.t.sol",
        "Url.t.sol",
        "Own.t.sol",
        "Codes.t.sol",
        "Access.t.sol",
        "Tipsets.t.sol",
    ):
        for file in sorted((folder / "out" / source).glob("*.json")):
            whole = json.loads(file.read_text(encoding="utf-8"))
            kept = {name: {"object": whole[name]["object"]} for name in ("bytecode", "deployedBytecode")}
            found[f"test/{source}:{file.stem}"] = {
                "abi": whole["abi"], "methodIdentifiers": whole["methodIdentifiers"], **kept
            }  # fmt: skip
    return found


def main(folder: Path) -> None:
    """Write the file."""
    said = {name: of_forge(json.loads((folder / f"{name}.json").read_text())) for name in ("forge", "url")}
    block = json.loads((folder / "block.json").read_text())
    content = {"artifacts": artifacts(folder), "block": block, **said}
    FILE.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


GOLDEN: Final[dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}
"""`artifacts` by source and contract; `forge` and `url` by suite and test; a `block` of anvil."""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
