"""Files generated from the IPLD schemas of the built-in actors, by `make bindings`.

    bridge/bindings/ACTOR.py        Python: parameters, results, calls
    bridge/solidity/IActor.sol      Solidity: an interface for the ABI facade, and FilecoinTypes.sol
    bridge/solidity/IActor.json     its ABI
    docs/bridge.md                  the table of all functions

Also generated: the constants that the guest of the fast EVM engine shares with Python (`engine`), in
runtimes/evm/guests/evm/src/tables.rs.

`generated()` returns the contents of the files by path. A test compares them with the committed files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from fvm_hypervisor.bindings.actors import engine, page, python, solidity

PROJECT: Final = Path(__file__).resolve().parents[3]


def generated() -> dict[Path, str]:
    """Return the text of every generated file by path. Runs ruff to format the Python modules."""
    modules = {PROJECT / path: _format(text) for path, text in python.modules().items()}
    interfaces = {PROJECT / path: text for path, text in solidity.files().items()}
    shared = {PROJECT / path: text for path, text in engine.files().items()}
    documented = PROJECT / page.PATH
    return modules | interfaces | shared | {documented: page.renewed(documented.read_text(encoding="utf-8"))}


def write() -> list[Path]:
    """Write all files; return the paths of the changed ones."""
    changed = []
    for path, text in generated().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _format(source: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "--stdin-filename", "binding.py", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True, cwd=PROJECT).stdout
