"""Forge's JSON of the contracts beside this file, with instructions, and the compiled contracts.

python -m tests.fvm_hypervisor.soltest.json_traces.golden FOLDER     make `golden.json.xz` from a folder in which forge
has run

The folder holds `forge.json` (`forge test --json -vvvvv`) and forge's `out`. `make clients` runs forge again and
compares.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "golden.json.xz"
SOURCE: Final = "test/Traced.t.sol"
CONFIGURATION: Final = """[profile.default]
src = "src"
test = "test"
libs = []
auto_detect_remappings = false
optimizer = true
evm_version = "osaka"
offline = true

[invariant]
runs = 2
depth = 3
"""


def of_forge(suites: dict[str, Any]) -> dict[str, Any]:
    """Return the traces, logs and figures of a JSON report of forge or this project, by suite and test."""
    fields = ("status", "reason", "logs", "decoded_logs", "kind", "traces")
    return {
        suite.split(":")[1]: {
            name: {field: test[field] for field in fields} for name, test in found["test_results"].items()
        }
        for suite, found in suites.items()
    }


def main(folder: Path) -> None:
    """Write the file."""
    artifacts = {}
    for file in sorted((folder / "out" / "Traced.t.sol").glob("*.json")):
        whole = json.loads(file.read_text(encoding="utf-8"))
        code = {name: {"object": whole[name]["object"]} for name in ("bytecode", "deployedBytecode")}
        artifacts[file.stem] = {"abi": whole["abi"], "methodIdentifiers": whole["methodIdentifiers"], **code}
    content = {"artifacts": artifacts, "forge": of_forge(json.loads((folder / "forge.json").read_text()))}
    FILE.write_bytes(lzma.compress(json.dumps(content, separators=(",", ":")).encode(), preset=9))


GOLDEN: Final[dict[str, Any]] = json.loads(lzma.decompress(FILE.read_bytes())) if FILE.exists() else {}
"""`artifacts` by contract; `forge` by suite and test."""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
