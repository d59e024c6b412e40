"""Golden file of a test folder: forge's results for its contracts, and the compiled contracts, as compressed JSON.

    python -m tests.hypervisor_tools.soltest.KIND.golden FOLDER     make the file from a folder in which forge has run

`make clients` runs forge again and compares.
"""

import json
import lzma
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CONFIGURATION = """[profile.default]
src = "src"
test = "test"
libs = []
auto_detect_remappings = false
optimizer = true
evm_version = "{evm_version}"
offline = true
"""


def configuration(more: str, evm_version: str = "prague") -> str:
    """Return the `foundry.toml` of a project; `more` follows the default profile."""
    return _CONFIGURATION.format(evm_version=evm_version) + more


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


def printed_json(folder: Path, name: str) -> Any:
    """Return the JSON that forge printed, as a file of the folder."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def artifacts(folder: Path, sources: Iterable[str], *, keeps: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Return the compiled contracts of files of `test/` by `SOURCE:NAME`, reduced to what tests need and `keeps`."""
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        for file in sorted((folder / "out" / source).glob("*.json")):
            whole = json.loads(file.read_text(encoding="utf-8"))
            code = {
                name: {part: whole[name][part] for part in ("object", *keeps) if part in whole[name]}
                for name in ("bytecode", "deployedBytecode")
            }
            named = {name: whole[name] for name in ("abi", "methodIdentifiers", *keeps) if name in whole}
            found[f"test/{source}:{file.stem}"] = named | code
    return found


def store(file: Path, content: dict[str, Any]) -> None:
    """Write the file."""
    file.write_bytes(lzma.compress(json.dumps(content, separators=(",", ":")).encode(), preset=9))


def stored(file: Path) -> dict[str, Any]:
    """Return the content of the file; empty before it is made."""
    content: dict[str, Any] = json.loads(lzma.decompress(file.read_bytes())) if file.exists() else {}
    return content
